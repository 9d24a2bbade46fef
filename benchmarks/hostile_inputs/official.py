"""The official files of every family, read by the catalog's tasks, and running text."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from tiny_retrieval import xquad_r

from hostile_inputs.changes import TEXT, Change, a_line, every_line, json_line, phrase, word
from hostile_inputs.files import FileReader
from xdist.formats.corpus import blocks, lines
from xdist.tasks.catalog import task

Valid = Callable[[Random], tuple[dict[str, bytes], Callable[[Any], bool]]]
DEEP, LONG = "[" * 50_000, "9" * 5000


def of_task(
    name: str, split: str, language: str, valid: Valid, target: str, faults: Mapping[str, Change], text: bool = True
) -> FileReader:
    def read(root: Path) -> list[Any]:
        return list(task(name).examples(root, split, language))

    return FileReader(name, valid, read, target, {**(TEXT if text else {}), **faults})


def rows(path: str, make: Callable[[Random], str], join: str = "\n") -> Valid:
    """A file of some records, each of which is an example."""

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        made = [make(rng) for _ in range(rng.randint(3, 12))]
        return {path: (join.join(made) + "\n").encode()}, lambda found: len(found) == len(made)

    return valid


def classified(name: str, path: str, texts: int, split: str, language: str) -> FileReader:
    labels = task(name).labels
    make = lambda rng: "\t".join([*(phrase(rng) for _ in range(texts)), rng.choice(labels)])  # noqa: E731
    faults: dict[str, Change] = {
        "blanks instead of tabs": every_line(lambda line: line.replace("\t", " ")),
        "commas instead of tabs": every_line(lambda line: line.replace("\t", ",")),
        "a label that is none": a_line(lambda rng, line: line.rpartition("\t")[0] + "\tnone of them"),
        "a column more": a_line(lambda rng, line: f"more\t{line}"),
        "a column less": a_line(lambda rng, line: line.partition("\t")[2] if texts > 1 else line.partition("\t")[0]),
        "a blanked label among others": a_line(lambda rng, line: line.rpartition("\t")[0]),
        "a header": lambda rng, raw: b"\t".join([b"text"] * texts + [b"label"]) + b"\n" + raw,
    }
    return of_task(name, split, language, rows(path, make), path, faults)


def tagged(name: str, path: str, split: str, language: str) -> FileReader:
    tags = task(name).labels

    def make(rng: Random) -> str:
        return "\n".join(f"{word(rng)}\t{rng.choice(tags)}" for _ in range(rng.randint(1, 6))) + "\n"

    faults: dict[str, Change] = {
        "blanks instead of tabs": every_line(lambda line: line.replace("\t", " ")),
        "a tag that is none": a_line(lambda rng, line: line.partition("\t")[0] + "\tB-NONE"),
        "a column more": a_line(lambda rng, line: f"{line}\tO"),
        "two blank lines": lambda rng, raw: raw.replace(b"\n\n", b"\n\n\n", 1) + b"a\t" + tags[0].encode() + b"\n",
        "a blank line first": lambda rng, raw: b"\n" + raw,
        "a header": lambda rng, raw: b"word\ttag\n" + raw,
    }
    return of_task(name, split, language, rows(path, make), path, faults)


def choices() -> FileReader:
    path = "xcopa/test-sw.jsonl"

    def make(rng: Random) -> str:
        record = {
            "premise": phrase(rng),
            "choice1": phrase(rng),
            "choice2": phrase(rng),
            "question": rng.choice(["cause", "effect"]),
        }
        return json.dumps({**record, "label": rng.randrange(2), "idx": 0, "changed": False}, ensure_ascii=False)

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        made = [make(rng) for _ in range(rng.randint(3, 8))]
        one = json.dumps({**json.loads(made[0]), "label": 1})  # since labels that are all 0 are blanked
        return {path: "".join(f"{line}\n" for line in [*made, one]).encode()}, lambda found: len(found) == len(made) + 1

    return of_task("xcopa", "test", "sw", valid, path, record_faults("premise", "label"))


def record_faults(text: str, number: str) -> dict[str, Change]:
    return {
        "a field less": json_line(lambda rng, one: one.pop(text) and None),
        "a text that is a number": json_line(lambda rng, one: {**one, text: 3}),
        "a number that is true": json_line(lambda rng, one: {**one, number: True}),
        "a number that is text": json_line(lambda rng, one: {**one, number: "zero"}),
        "a number out of range": json_line(lambda rng, one: {**one, number: 7}),
        "a list instead of an object": json_line(lambda rng, one: [one]),
        "too deep": a_line(lambda rng, line: DEEP),
        "a number of 5000 digits": json_line(lambda rng, one: json.dumps({**one, number: 0})[:-1] + f', "more": {LONG}}}'),
        "half a surrogate pair": json_line(lambda rng, one: json.dumps({**one, text: "half \ud83d of it"})),
        "cut": a_line(lambda rng, line: line[: len(line) // 2]),
    }


def questions() -> FileReader:
    path = "xquad/xquad.de.json"

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        asked = []
        for number in range(rng.randint(2, 5)):
            context = phrase(rng, 9)
            answer = {"answer_start": 0, "text": context.split()[0]}
            asked.append({"context": context, "qas": [{"id": f"q{number}", "question": phrase(rng), "answers": [answer]}]})
        content = {"version": "1.1", "data": [{"title": "t", "paragraphs": asked}]}
        return {path: json.dumps(content, ensure_ascii=False).encode()}, lambda found: len(found) == len(asked)

    def of_question(change: Callable[[dict[str, Any]], object]) -> Change:
        def changed(rng: Random, raw: bytes) -> bytes:
            content = json.loads(raw)
            change(rng.choice(content["data"][0]["paragraphs"]))
            return json.dumps(content).encode()

        return changed

    faults: dict[str, Change] = {
        "no object": lambda rng, raw: b"[]",
        "no data": lambda rng, raw: b'{"version": "1.1"}',
        "a context that is a number": of_question(lambda one: one.update(context=3)),
        "no questions": of_question(lambda one: one.pop("qas")),
        "an answer without place": of_question(lambda one: one["qas"][0]["answers"][0].pop("answer_start")),
        "an answer at another place": of_question(lambda one: one["qas"][0]["answers"][0].update(answer_start=10_000)),
        "a place that is true": of_question(lambda one: one["qas"][0]["answers"][0].update(answer_start=True)),
        "half a surrogate pair": of_question(lambda one: one.update(context=one["context"] + " \ud83d")),
        "too deep": lambda rng, raw: DEEP.encode(),
        "a number of 5000 digits": lambda rng, raw: raw[:-1] + f', "more": {LONG}}}'.encode(),
        "cut": lambda rng, raw: raw[: len(raw) // 2],
    }
    return of_task("xquad", "test", "de", valid, path, faults)


def parallel() -> FileReader:
    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        size = rng.randint(3, 10)
        sides = {f"tatoeba/sw-en.{code}": "".join(f"{phrase(rng)}\n" for _ in range(size)).encode() for code in ("sw", "en")}
        gold = "".join(f"{number}\n" for number in rng.sample(range(size), size)).encode()
        return {**sides, "labels/tatoeba/test-sw.tsv": gold}, lambda found: len(found) == 2 * size

    faults: dict[str, Change] = {
        "a row less": lambda rng, raw: raw.split(b"\n", 1)[1],
        "a row out of range": a_line(lambda rng, line: "10000"),
        "a row that is no number": a_line(lambda rng, line: "first"),
        "a row below zero": a_line(lambda rng, line: "-1"),
        "a row in other digits": a_line(lambda rng, line: "١"),
    }
    return of_task("tatoeba", "test", "sw", valid, "labels/tatoeba/test-sw.tsv", faults)


def lareqa() -> FileReader:
    path = "lareqa/xquad-r/de.json"
    codes = ("ar", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh", "de")

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        kept = sorted(rng.sample(range(6), rng.randint(2, 6)))
        files = {}
        for code in codes:
            (article,) = xquad_r(code)["data"]
            article = {"paragraphs": [article["paragraphs"][number] for number in kept]}
            files[f"lareqa/xquad-r/{code}.json"] = json.dumps({"data": [article]}).encode()
        return files, lambda found: len(found) == 3 * len(kept)

    faults: dict[str, Change] = {
        "no object": lambda rng, raw: b"3",
        "no data": lambda rng, raw: b"{}",
        "breaks that are text": lambda rng, raw: raw.replace(b'"sentence_breaks": [[', b'"sentence_breaks": [["a", ', 1),
        "too deep": lambda rng, raw: DEEP.encode(),
        "cut": lambda rng, raw: raw[: len(raw) // 2],
    }
    return of_task("lareqa", "test", "de", valid, path, faults)


def running_text(ending: str) -> FileReader:
    def record(rng: Random) -> str:
        text = phrase(rng, 12)
        return json.dumps({"text": text}, ensure_ascii=False) if ending == "jsonl" else text

    def packed(raw: bytes) -> bytes:
        return gzip.compress(raw) if ending.endswith(".gz") else raw

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        made = [record(rng) for _ in range(rng.randint(1, 9))]
        return {f"a.{ending}": packed("".join(f"{line}\n" for line in made).encode())}, lambda found: len(found) == len(made)

    def read(place: Path) -> list[Any]:
        found = blocks(str(place / f"a.{ending}"), ("text",), 1 << 20 if ending == "jsonl" else 256)
        return [line for block in found for line in lines(block, ("text",), Counter())]

    faults: dict[str, Change] = {
        "not UTF-8": TEXT["not UTF-8"],
        "half a surrogate pair as bytes": TEXT["half a surrogate pair as bytes"],
    }
    if ending == "jsonl":
        made = record_faults("text", "number")
        kept = (
            "a field less",
            "a text that is a number",
            "a list instead of an object",
            "too deep",
            "half a surrogate pair",
            "cut",
        )
        faults |= {name: made[name] for name in (*kept, "a number of 5000 digits")}
    if ending.endswith(".gz"):
        faults = {
            "cut": lambda rng, raw: raw[:-5],
            "no gzip": lambda rng, raw: gzip.decompress(raw),
            "empty": lambda rng, raw: b"\x1f\x8b",
        }
    return FileReader(f"running text .{ending}", valid, read, f"a.{ending}", faults)


READERS = [
    classified("xnli", "xnli/test-sw.tsv", 2, "test", "sw"),
    classified("cldr-topic", "cldr-topic/train-en.tsv", 1, "train", "en"),
    tagged("udpos", "udpos/test-de.tsv", "test", "de"),
    tagged("cldr-spans", "cldr-spans/train-sw.tsv", "train", "sw"),
    choices(),
    questions(),
    parallel(),
    lareqa(),
    *(running_text(ending) for ending in ("txt", "txt.gz", "jsonl")),
]
