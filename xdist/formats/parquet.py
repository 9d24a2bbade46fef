"""Rows of Parquet files, as the hub stores data sets, to the same Examples as the official files give."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from xdist.errors import UserError
from xdist.formats.choice import blank_zeros
from xdist.formats.columns import Columns
from xdist.formats.examples import Choice, Example, Question
from xdist.formats.gold import gold_of, uniform
from xdist.formats.lines import nearest
from xdist.formats.squad import Keys

ROWS_AT_A_TIME = 1024


def read(paths: Path | Sequence[Path], columns: Columns, *, need_gold: bool = False) -> Iterator[Example]:
    """The Examples of one split, whose rows may stand in several files, in their order. Rows are numbered over all
    files.

    Gold is judged as in the official files: throughout or nowhere, and COPA labels that are all 0 are blanked. Raises
    UserError that names file and row (from 1): not a Parquet file, no such column, class names that differ from
    `columns.names`, whatever `Columns.example` raises, no gold under `need_gold`.
    """
    rows = _rows([paths] if isinstance(paths, Path) else paths, columns)
    if columns.kind == "copa":
        # Whether the labels are blanked shows only over the whole split, which is small.
        rows = iter(blank_zeros(cast(list[tuple[str, Choice]], list(rows))))
    yield from uniform(rows, need_gold and columns.kind not in ("sentence", "passage"))


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """The class names that the `datasets` library left in a file's metadata for a column or its list items."""
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    feature = features.get(column, {})
    while isinstance(feature, dict) and "feature" in feature:
        feature = feature["feature"]
    return tuple(feature.get("names") or ()) if isinstance(feature, dict) else ()


def _rows(paths: Sequence[Path], columns: Columns) -> Iterator[tuple[str, Example]]:
    number, key = 0, Keys()
    for path in paths:
        row = 0
        for batch, names in _batches(path, columns):
            for record in batch.to_pylist():
                row += 1
                where = f"{path}:{row}"
                example = columns.example(record, number, names, where)
                if columns.agreed and gold_of(example) is None:
                    continue
                if isinstance(example, Question):
                    example = replace(example, key=key(example.id))
                yield where, example
                number += 1


def _batches(path: Path, columns: Columns) -> Iterator[tuple[pa.RecordBatch, tuple[str, ...]]]:
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a Parquet file: {str(error).splitlines()[0]}") from None
    with file:
        schema = file.schema_arrow
        wanted = dict.fromkeys(name.split(".")[0] for name in (*columns.texts, columns.gold, columns.id) if name is not None)
        for name in wanted:
            if name not in schema.names:
                raise UserError(f"{path}: no column '{name}'{nearest(name, schema.names)}")
        stored = class_names(schema, columns.gold) if columns.gold else ()
        if stored and columns.names and stored != columns.names:
            raise UserError(f"{path}: column '{columns.gold}' has classes {stored}, expected {columns.names}")
        for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME, columns=list(wanted)):
            yield batch, columns.names or stored
