"""Rows of Parquet files, as the hub stores data sets, to the same Examples as the official files give."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from xdist.errors import UserError, unknown
from xdist.formats.choice import blank_zeros
from xdist.formats.columns import Columns
from xdist.formats.examples import Choice, Example, Question
from xdist.formats.gold import gold_of, with_uniform_gold
from xdist.formats.lines import nearest_name, open_file
from xdist.formats.squad import Keys
from xdist.strict_json import parsed

ROWS_AT_A_TIME = 1024
# What a damaged file makes pyarrow raise, while it is opened or a page of it is read.
DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError)


def read(
    paths: Path | Sequence[Path], columns: Columns, *, need_gold: bool = False, labels: Sequence[str] = ()
) -> Iterator[Example]:
    """The Examples of one split, whose rows may be in several files, in their order. Rows are numbered over all
    files.

    Gold is judged as in the official files: in all rows or in none, and COPA labels that are all 0 are blanked. Raises
    UserError that names file and row (from 1): not a Parquet file, no such column, class names that differ from
    `columns.names` or, where those are left to the file, are not among `labels`; all that `Columns.example` raises; no gold
    under `need_gold`.
    """
    rows = _rows([paths] if isinstance(paths, Path) else paths, columns, labels)
    if columns.kind == "copa":
        # Whether the labels are blanked shows only over the complete split, which is small.
        rows = iter(blank_zeros(cast(list[tuple[str, Choice]], list(rows))))
    yield from with_uniform_gold(rows, need_gold and columns.kind not in ("sentence", "passage"), f"column '{columns.gold}'")


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """The class names that the `datasets` library left in a file's metadata for a column or its list items; none where they are
    not in its form."""
    try:
        feature = parsed((schema.metadata or {}).get(b"huggingface", b"{}"), "")
        for key in ("info", "features", column):
            feature = feature.get(key, {})
        while "feature" in feature:
            feature = feature["feature"]
        names = feature.get("names")
    except (UserError, AttributeError, TypeError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


@contextmanager
def opened_table(source: IO[bytes], place: object, columns: Iterable[str]) -> Iterator[pq.ParquetFile]:
    """A Parquet file that has `columns`; checksums of its pages are looked at where it has them. Raises UserError."""
    try:
        table = pq.ParquetFile(source, page_checksum_verification=True)
    except DAMAGE as error:
        raise UserError(f"{place}: not a Parquet file, or damaged: {reason(error)}") from None
    with table:
        names = table.schema_arrow.names
        for name in columns:
            if column_name(name, names) not in names:
                raise UserError(f"{place}: no column '{column_name(name, names)}'{nearest_name(name, names)}")
        yield table


def column_name(column: str, names: Sequence[str]) -> str:
    """What a column is called where these are the `names` of all: of `a|b` the first that exists, or else a."""
    return next((one for one in column.split("|") if one in names), column.split("|")[0])


def cells(column: pa.Array) -> list[Any]:
    """The values of a column; bytes for texts that are not UTF-8."""
    try:
        values: list[Any] = column.to_pylist()
        return values
    except UnicodeDecodeError:
        return [_cell(value) for value in column]


def _cell(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return value.as_buffer().to_pybytes() if hasattr(value, "as_buffer") else b""


def reason(error: Exception) -> str:
    """What an error of a library says, as one line."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _rows(paths: Sequence[Path], columns: Columns, labels: Sequence[str]) -> Iterator[tuple[str, Example]]:
    number, key = 0, Keys()
    for path in paths:
        for where, record, names in _records(path, columns, labels):
            example = columns.example(record, number, names, where)
            if columns.agreed and gold_of(example) is None:
                continue
            if isinstance(example, Question):
                example = replace(example, key=key(example.id))
            yield where, example
            number += 1


def _records(path: Path, columns: Columns, labels: Sequence[str]) -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    """(place, {column: value}, class names) of each row."""
    wanted = list(dict.fromkeys(name.split(".")[0] for name in (*columns.texts, columns.gold, columns.id) if name is not None))
    row = 0
    with open_file(path, packed=True) as file, opened_table(file, path, wanted) as table:
        stored = class_names(table.schema_arrow, columns.gold) if columns.gold else ()
        places = {name: column_name(name, table.schema_arrow.names) for name in wanted}
        if stored and columns.names and stored != columns.names:
            raise UserError(f"{path}: column '{columns.gold}' has classes {stored}, expected {columns.names}")
        for name in stored if labels and not columns.names else ():
            if name not in labels:
                raise UserError(f"{path}: column '{columns.gold}': {unknown('class', name, labels)}")
        try:
            for batch in table.iter_batches(batch_size=ROWS_AT_A_TIME, columns=list(places.values())):
                for values in zip(*(cells(batch.column(name)) for name in places.values()), strict=True):
                    row += 1
                    yield f"{path}:{row}", dict(zip(wanted, values, strict=True)), columns.labels or columns.names or stored
        except DAMAGE as error:
            raise UserError(f"{path}:{row + 1}: damaged: {reason(error)}") from None
