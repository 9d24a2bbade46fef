"""Parquet files of the forms that the hub's data sets have, and running text in one."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hostile_inputs.changes import LFS, PAGE, Change, other, phrase, word
from hostile_inputs.files import FileReader
from xdist.formats import parquet
from xdist.formats.columns import Columns
from xdist.formats.corpus import blocks, lines

NLI = ("entailment", "neutral", "contradiction")
Rows = list[dict[str, Any]]
FILE = "test-00000-of-00001.parquet"


def raw_of(rows: Rows) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def of_rows(change: Callable[[Random, Rows], object]) -> Change:
    def changed(rng: Random, raw: bytes) -> bytes:
        rows = pq.read_table(io.BytesIO(raw)).to_pylist()
        found = change(rng, rows)
        return raw_of(found if isinstance(found, list) else rows)

    return changed


def each(**values: Any) -> Change:
    return of_rows(lambda rng, rows: [{**row, **values} for row in rows])


def one(**values: Any) -> Change:
    return of_rows(lambda rng, rows: rng.choice(rows).update(values))


def table_of(name: str, columns: Columns, make: Callable[[Random], dict[str, Any]], faults: dict[str, Change]) -> FileReader:
    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        rows = [make(rng) for _ in range(rng.randint(2, 9))]
        return {FILE: raw_of(rows)}, lambda found: len(found) == len(rows)

    def read(place: Path) -> list[Any]:
        return list(parquet.read(place / FILE, columns))

    return FileReader(f"Parquet, {name}", valid, read, FILE, {**BYTES, **faults})


def halved(rng: Random, raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


BYTES: dict[str, Change] = {
    "empty": other(b""),
    "cut": halved,
    "without its end": lambda rng, raw: raw[:-8],
    "Git LFS pointer": other(LFS),
    "HTML": other(PAGE),
}


def columns_lack(name: str) -> Change:
    return of_rows(lambda rng, rows: [{key: value for key, value in row.items() if key != name} for row in rows])


def running() -> FileReader:
    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        rows = [{"text": phrase(rng, 9)} for _ in range(rng.randint(1, 9))]
        return {"a.parquet": raw_of(rows)}, lambda found: len(found) == len(rows)

    def read(place: Path) -> list[Any]:
        return [line for block in blocks(str(place / "a.parquet"), ("text",)) for line in lines(block, ("text",), Counter())]

    faults = {**BYTES, "numbers": each(text=3), "no text in a row": of_rows(lambda rng, rows: [*rows, {"text": None}])}
    faults["no such column"] = of_rows(lambda rng, rows: [{"sentence": row["text"]} for row in rows])
    return FileReader("Parquet, running text", valid, read, "a.parquet", faults)


def _tags(rng: Random) -> dict[str, Any]:
    size = rng.randint(1, 5)
    return {"tokens": [word(rng) for _ in range(size)], "ner_tags": [rng.randrange(3) for _ in range(size)]}


READERS = [
    table_of(
        "pairs",
        Columns(kind="classified", texts=("premise", "hypothesis"), gold="label", names=NLI),
        lambda rng: {"premise": phrase(rng), "hypothesis": phrase(rng), "label": rng.randrange(3)},
        {
            "no such column": columns_lack("premise"),
            "a label out of range": one(label=9),
            "labels that are text": each(label="none of them"),
            "a text that is null": one(premise=None),
            "texts that are numbers": each(premise=3),
        },
    ),
    table_of(
        "tags",
        Columns(kind="tagged", texts=("tokens",), gold="ner_tags", names=("O", "B-PER", "I-PER")),
        _tags,
        {
            "no such column": columns_lack("tokens"),
            "a tag out of range": of_rows(lambda rng, rows: rows[0].update(ner_tags=[9] * len(rows[0]["tokens"]))),
            "a tag more": of_rows(lambda rng, rows: rows[0].update(ner_tags=[0] * (1 + len(rows[0]["tokens"])))),
        },
    ),
    running(),
]
