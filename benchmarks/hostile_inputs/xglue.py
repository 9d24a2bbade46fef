"""The released files of XGLUE, and translations that are trained on."""

from random import Random

from hostile_inputs.changes import Change, a_line, every_line, phrase, word
from hostile_inputs.files import FileReader
from hostile_inputs.official import classified, of_task, rows
from xdist.tasks.catalog import task

ROOT = "xglue_full_dataset"


def tagged(name: str, path: str, language: str) -> FileReader:
    tags = task(name).labels

    def make(rng: Random) -> str:
        return "\n".join(f"{word(rng)} {rng.choice(tags)}" for _ in range(rng.randint(1, 6))) + "\n"

    faults: dict[str, Change] = {
        "tabs instead of blanks": every_line(lambda line: line.replace(" ", "\t")),
        "a tag that is none": a_line(lambda rng, line: f"{line}x"),
        "a word alone": lambda rng, raw: raw + b"alone\n",
        "a header": lambda rng, raw: b"word tag\n" + raw,
    }
    return of_task(name, "dev", language, rows(path, make), path, faults)


def translated() -> FileReader:
    path = "xtreme_translations/XNLI/translate-train/en-sw-translated.tsv"
    labels = task("xnli-translated").labels
    make = lambda rng: "\t".join([*(phrase(rng) for _ in range(4)), rng.choice(labels)])  # noqa: E731
    faults: dict[str, Change] = {
        "blanks instead of tabs": every_line(lambda line: line.replace("\t", " ")),
        "no labels": every_line(lambda line: line.rpartition("\t")[0]),
        "other labels": every_line(lambda line: line.rpartition("\t")[0] + "\t2"),
    }
    return of_task("xnli-translated", "train", "sw", rows(path, make), path, faults)


def marked() -> FileReader:
    path = "panx/translate-train-sw.txt"
    make = lambda rng: f"wa <LOC>Dodoma {rng.randint(0, 9)}</LOC> na <PER>Samia</PER>"  # noqa: E731
    faults: dict[str, Change] = {
        "markers that do not close": every_line(lambda line: line.replace("</LOC>", "")),
        "markers of other kinds": every_line(lambda line: line.replace("LOC>", "PLACE>")),
        "markers in each other": every_line(lambda line: f"<ORG>{line}</ORG>"),
    }
    return of_task("panx-translated", "train", "sw", rows(path, make), path, faults)


READERS = (
    classified("xglue-nc", f"{ROOT}/NC/xglue.nc.de.dev", 2, "dev", "de"),
    classified("xglue-wpr", f"{ROOT}/WPR/xglue.wpr.it.dev", 3, "dev", "it"),
    tagged("xglue-ner", f"{ROOT}/NER/nl.dev", "nl"),
    translated(),
    marked(),
)
