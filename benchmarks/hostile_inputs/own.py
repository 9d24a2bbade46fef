"""A user's own tasks: tables and CoNLL as their description gives their layout."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import datasets  # noqa: F401 loaded here, since a reader that takes seconds counts as one that hangs

from hostile_inputs.changes import TEXT, Change, a_line, every_line, json_line, phrase, word
from hostile_inputs.files import FileReader
from hostile_inputs.tables import BYTES, columns_lack, each, one, raw_of
from xdist.formats.examples import Classified, Tagged
from xdist.formats.layout import Layout

LABELS = ("good", "bad")
TAGS = ("O", "B-PER", "I-PER")
CLASSES = Layout(family="classification", columns={"text": ("text",), "label": ("label",)}, labels=LABELS)
WORDS = Layout(family="tagging", columns={"word": ("1",), "tag": ("3",)}, labels=TAGS)
# Texts that a reader could take for something else.
TEXTS = (
    "NA",
    "null",
    "",
    "2024-05-01",
    "01",
    "1e5",
    'a "quoted" word',
    "one, two",
    "tells\u2028nothing",
    "true",
    "2024-05-01T10:00:00Z",
)


def _pairs(rng: Random) -> list[tuple[str, str]]:
    return [(rng.choice(TEXTS) if rng.random() < 0.3 else phrase(rng), rng.choice(LABELS)) for _ in range(rng.randint(2, 9))]


def _table(form: str, written: Callable[[Random, list[tuple[str, str]]], bytes], faults: dict[str, Change]) -> FileReader:
    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        pairs = _pairs(rng)
        expected = [Classified(texts=(text,), label=label) for text, label in pairs]
        return {f"a.{form}": written(rng, pairs)}, lambda found: found == expected

    def read(place: Path) -> list[Any]:
        return list(CLASSES(place / f"a.{form}", need_gold=True))

    return FileReader(f"own {form}", valid, read, f"a.{form}", faults)


def _csv(rng: Random, pairs: list[tuple[str, str]]) -> bytes:
    stream = io.StringIO()
    ends = rng.choice(("\n", "\r\n"))
    writer = csv.writer(stream, lineterminator=ends, quoting=rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    writer.writerows([("id", "text", "label"), *((number, *pair) for number, pair in enumerate(pairs))])
    return stream.getvalue().encode()


def _tsv(rng: Random, pairs: list[tuple[str, str]]) -> bytes:
    return "".join(
        f"{label}\t{text}\n" for label, text in [("label", "text"), *((label, text) for text, label in pairs)]
    ).encode()


def _jsonl(rng: Random, pairs: list[tuple[str, str]]) -> bytes:
    return "".join(
        json.dumps({"text": text, "label": label, "n": [1]}, ensure_ascii=False) + "\n" for text, label in pairs
    ).encode()


def _parquet(rng: Random, pairs: list[tuple[str, str]]) -> bytes:
    return raw_of([{"text": text, "label": label, "more": 1.5} for text, label in pairs])


def _conll(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
    mark = rng.choice((" ", "\t"))
    sentences = [[(word(rng), rng.choice(TAGS)) for _ in range(rng.randint(1, 5))] for _ in range(rng.randint(1, 5))]
    text = rng.choice(("", "-DOCSTART- -X- O\n\n"))
    text += "\n".join("".join(f"{form}{mark}NN{mark}{tag}\n" for form, tag in one) for one in sentences)
    expected = [Tagged(words=tuple(form for form, _ in one), tags=tuple(tag for _, tag in one)) for one in sentences]
    return {"a.conll": text.encode()}, lambda found: found == expected


def _without_heading(rng: Random, raw: bytes) -> bytes:
    return raw.partition(b"\n")[2]


def _more(mark: str) -> Change:
    return lambda rng, raw: raw.rstrip(b"\r\n") + f"{mark}more\n".encode()


TABLE = {key: change for key, change in TEXT.items() if key != "empty"}
READERS = [
    _table(
        "csv",
        _csv,
        {
            **TABLE,
            "a row too long": _more(","),
            "a row too short": lambda rng, raw: raw + b"9,x\n",
            "a quote that is left open": lambda rng, raw: raw + b'9,"x,good\n',
            "an unknown label": lambda rng, raw: raw + b"9,x,goood\n",
            "no label": lambda rng, raw: raw + b"9,x,\n",
            "no heading": _without_heading,
            "a blank line": lambda rng, raw: raw + b"\n9,x,good\n",
        },
    ),
    _table(
        "tsv",
        _tsv,
        {
            **TABLE,
            "a row too long": a_line(lambda rng, line: f"{line}\tx"),
            "commas for tabs": every_line(lambda line: line.replace("\t", ",")),
            "an unknown label": lambda rng, raw: raw + b"goood\tx\n",
            "no heading": _without_heading,
        },
    ),
    _table(
        "jsonl",
        _jsonl,
        {
            **TABLE,
            "no JSON": a_line(lambda rng, line: line[:-2]),
            "a list": a_line(lambda rng, line: "[]"),
            "no such key": json_line(lambda rng, record: (record.pop("text"), None)[1]),
            "a label that is no label": json_line(lambda rng, record: record.update(label="gut")),
            "a label that is a list": json_line(lambda rng, record: record.update(label=["good"])),
            "a text that is a number": json_line(lambda rng, record: record.update(text=3)),
            "a text that is null": json_line(lambda rng, record: record.update(text=None)),
            "half a surrogate pair": json_line(lambda rng, record: json.dumps({"text": "\ud83d", "label": "good", "n": [1]})),
        },
    ),
    _table(
        "parquet",
        _parquet,
        {
            **BYTES,
            "no such column": columns_lack("text"),
            "an unknown label": one(label="goood"),
            "labels that are numbers": each(label=1.5),
            "a text that is null": one(text=None),
            "texts that are numbers": each(text=3),
        },
    ),
    FileReader(
        "own conll",
        _conll,
        lambda place: list(WORDS(place / "a.conll", need_gold=True)),
        "a.conll",
        {
            **TABLE,
            "an unknown tag": lambda rng, raw: raw + b"x NN PER\n",
            "no tag": lambda rng, raw: raw + b"x NN\n",
            "words alone": lambda rng, raw: raw + b"\nx\ny\n",
        },
    ),
]
