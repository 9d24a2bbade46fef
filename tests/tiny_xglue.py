"""XGLUE in the layout of its release, a few made-up rows of each file, in some of its languages."""

import csv
import json
import random
from pathlib import Path

from tiny_families import WORDS, paragraph, squad_file

from xdist.tasks.catalog.xglue import FOLDERS, GRADES, NER_TAGS, ROOT, TOPICS

# Per task the languages that are made.
SOME = {
    "xglue-ner": ("en", "de", "nl"),
    "xglue-pos": ("en", "vi", "th"),
    "xglue-nc": ("en", "de", "ru"),
    "xglue-mlqa": ("en", "de", "zh"),
    "xglue-xnli": ("en", "sw", "ur"),
    "xglue-pawsx": ("en", "fr"),
    "xglue-qadsm": ("en", "de"),
    "xglue-wpr": ("en", "it", "zh"),
    "xglue-qam": ("en", "fr"),
}
NLI = ("contradiction", "entailment", "neutral")
# A run of 5, a single row, a run of 2, the first text again, a run whose gold is all zero.
RUNS = (("lake a", 5), ("sea", 1), ("hill", 2), ("lake a", 2), ("no page", 2))


def tiny_xglue(root: Path, rows: int = 12) -> Path:
    """All nine below `root`, gold in place; `rows` a file, or sentences, or paragraphs for three."""
    draw = random.Random(11)
    for name, codes in SOME.items():
        for split in ("train", "dev", "test"):
            for code in codes if split != "train" else ("en",):
                MAKE[name](root / ROOT / FOLDERS[name], split, code, draw, rows)
    return root


def pawsx_of(prepared: Path, released: Path) -> None:
    """The released form of a PAWS-X file of XTREME: a header, ids, no csv quoting."""
    with prepared.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row]
    _lines(released, ["id\tsentence1\tsentence2\tlabel", *("\t".join((str(n), *row)) for n, row in enumerate(rows, start=1))])


def _text(draw: random.Random, low: int = 1, high: int = 8) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(low, high)))


def _tagged(folder: Path, split: str, code: str, draw: random.Random, rows: int, tags: tuple[str, ...]) -> None:
    sentences = [[(draw.choice(WORDS), draw.choice(tags)) for _ in range(draw.randint(1, 9))] for _ in range(rows)]
    parts = ["\n".join(f"{word} {tag}" for word, tag in sentence) for sentence in sentences]
    _lines(folder / f"{code}.{split}", ["\n\n".join(parts)])


def _ner(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    """IOB1: a B- is only where two entities of one type meet."""
    _tagged(folder, split, code, draw, rows, ("O", "O", *(tag for tag in NER_TAGS if not tag.startswith("B"))))
    path = folder / f"{code}.{split}"
    begin = "-DOCSTART- -X-\n\n" + "Oslo I-LOC\nBergen B-LOC\n\n"
    path.write_text(begin + path.read_text(encoding="utf-8"), encoding="utf-8")


def _pos(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    _tagged(folder, split, code, draw, rows, ("NOUN", "VERB", "ADJ", "CCONJ", "X"))


def _nc(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    lines = [f"{_text(draw)}\t{_text(draw, 3, 20)}\t{draw.choice(TOPICS)}" for _ in range(rows)]
    _lines(folder / f"xglue.nc.{code}.{split}", lines)


def _mlqa(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    name = f"MLQA_V1/{split}/{split}-context-{code}-question-{code}.json" if split != "train" else "squad1.1/train-v1.1.json"
    paragraphs = [paragraph(draw, 40, f"{split}-{code}-{n}") for n in range(rows // 3)]
    _lines(folder / name, [json.dumps(squad_file(paragraphs))])


def _xnli(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    if split == "train":
        labels = ("contradictory", *NLI[1:])
        lines = ["premise\thypo\tlabel", *(f"{_text(draw)}\t{_text(draw)}\t{draw.choice(labels)}" for _ in range(rows))]
        _lines(folder / "multinli.train.en.tsv", lines)
    else:
        _lines(folder / f"{code}.{split}", [f"{_text(draw)}\t{_text(draw)}\t{draw.choice(NLI)}" for _ in range(rows)])


def _pawsx(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    lines = [f"{n}\t{_text(draw)}\t{_text(draw)}\t{draw.choice('01')}" for n in range(1, rows + 1)]
    name = "train.tsv" if split == "train" else f"{split}_2k.tsv"
    _lines(folder / code / name, ["id\tsentence1\tsentence2\tlabel", *lines])


def _qadsm(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    lines = [f"{_text(draw)}\t{_text(draw)}\t{_text(draw)}\t{draw.choice(('Good', 'Bad'))}" for _ in range(rows)]
    _lines(folder / f"xglue.qadsm.{code}.{split}", lines)


def _wpr(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    lines = [
        f"{query}\t{_text(draw)}\t{_text(draw)}\t{0 if query == 'no page' else draw.choice(GRADES)}"
        for query, count in RUNS
        for _ in range(count)
    ]
    _lines(folder / f"xglue.wpr.{code}.{split}", lines)


def _qam(folder: Path, split: str, code: str, draw: random.Random, rows: int) -> None:
    lines = [f"{_text(draw)}\t{_text(draw, 3, 12)}\t{draw.choice('01')}" for _ in range(rows)]
    _lines(folder / f"xglue.qam.{code}.{split}", lines)


MAKE = {
    "xglue-ner": _ner,
    "xglue-pos": _pos,
    "xglue-nc": _nc,
    "xglue-mlqa": _mlqa,
    "xglue-xnli": _xnli,
    "xglue-pawsx": _pawsx,
    "xglue-qadsm": _qadsm,
    "xglue-wpr": _wpr,
    "xglue-qam": _qam,
}


def _lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
