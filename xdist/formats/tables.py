"""Rows of tables (TSV, CSV, JSON lines, Parquet) as {column: value}, with the place of each for messages.

CSV, JSON lines and Parquet are read by `datasets`, and by a strict reader of ours what it cannot read, which says why.
Without a header the columns are called 1, 2, …
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise, repeat
from pathlib import Path

from xdist.errors import UserError, shown
from xdist.formats.lines import is_blank, open_file, read_jsonl, read_lines, without_trailing_blanks
from xdist.formats.parquet import DAMAGE, ROWS_AT_A_TIME, cells, class_names, opened_table, reason
from xdist.formats.through_datasets import TableRow, csv_rows, json_rows, parquet_rows

FORMS = ("tsv", "csv", "jsonl", "parquet")
PlacedRow = tuple[str, TableRow]


def rows(path: Path, form: str, *, header: bool = True, quotes: bool = False) -> Iterator[PlacedRow]:
    """(file:line or file:row, row) of each. `header`: the first line of a TSV or CSV names the columns; `quotes`: a TSV is
    quoted as a CSV is. Raises UserError naming file and line: no such file, not this form, a row of another width, a name that
    appears twice, quotes that do not close."""
    if form == "tsv":
        yield from _lines(path, "\t", header, quotes)
    elif form == "csv":
        yield from _csv(path, header)
    elif form == "jsonl":
        yield from _jsonl(path)
    else:
        yield from _parquet(path)


def stored_names(path: Path, column: str) -> tuple[str, ...]:
    """The names of the classes that a Parquet file says for a column; none where it says none. Raises UserError as `rows`."""
    with open_file(path, packed=True) as file, opened_table(file, path, ()) as table:
        return class_names(table.schema_arrow, column)


def _csv(path: Path, header: bool) -> Iterator[PlacedRow]:
    # Ours knows the lines and what is wrong, theirs the values; a row counts as read when both have it.
    ours = _lines(path, ",", header, quotes=True)
    first = next(ours, None)
    if first is None:
        return
    names = list(first[1])
    theirs: Iterator[TableRow | None] = chain(_until_lost(csv_rows(path, names, header)), repeat(None))
    for (where, row), read in zip(chain([first], ours), theirs, strict=False):
        yield where, row if read is None else read


def _jsonl(path: Path) -> Iterator[PlacedRow]:
    read = 0
    if not any(
        is_blank(line) for _, line in without_trailing_blanks(read_lines(path))
    ):  # theirs leaves blank lines out, and rows lose their lines
        for read, row in enumerate(_until_lost(json_rows(path)), start=1):
            yield f"{path}:{read}", row
    # What theirs cannot read ours can, or says what is wrong.
    yield from ((f"{path}:{number}", row) for number, row in islice(read_jsonl(path), read, None))


def _parquet(path: Path) -> Iterator[PlacedRow]:
    with open_file(path, packed=True) as file, opened_table(file, path, ()) as table:
        names, expected = table.schema_arrow.names, table.metadata.num_rows
    for twice in (name for name, after in pairwise(sorted(names)) if name == after):
        raise UserError(f"{path}: a column '{twice}' appears here twice")
    read = 0
    for read, row in enumerate(_until_lost(parquet_rows(path, names)), start=1):
        yield f"{path}:{read}", row
    if read < expected:
        yield from _parquet_of_ours(path, names, read)


def _parquet_of_ours(path: Path, names: Sequence[str], done: int) -> Iterator[PlacedRow]:
    row = 0
    with open_file(path, packed=True) as file, opened_table(file, path, ()) as table:
        try:
            for batch in table.iter_batches(batch_size=ROWS_AT_A_TIME):
                for values in zip(*(cells(batch.column(name)) for name in names), strict=True):
                    row += 1
                    if row > done:
                        yield f"{path}:{row}", dict(zip(names, values, strict=True))
        except DAMAGE as error:
            raise UserError(f"{path}:{row + 1}: damaged: {reason(error)}") from None


def _until_lost(found: Iterator[TableRow]) -> Iterator[TableRow]:
    """The rows that the library gives, up to its first error: it raises those of pandas, Arrow and its own."""
    try:
        yield from found
    except Exception:
        return


def _lines(path: Path, separator: str, header: bool, quotes: bool) -> Iterator[PlacedRow]:
    names: list[str] = []
    for number, row in (_quoted if quotes else _plain)(path, separator):
        where = f"{path}:{number}"
        if not names and header:
            names = row
            for twice in (name for name, after in pairwise(sorted(names)) if name == after):
                raise UserError(f"{where}: a column '{twice}' appears here twice: {shown(separator.join(row))}")
            continue
        names = names or [str(column) for column in range(1, len(row) + 1)]
        if len(row) != len(names):
            like = "in the header" if header else "above"
            raise UserError(f"{where}: expected {len(names)} columns as {like}, found {len(row)}: {shown(separator.join(row))}")
        yield where, dict(zip(names, row, strict=True))


def _plain(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split(separator)) for number, line in without_trailing_blanks(read_lines(path)))


def _quoted(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """A record may run over several lines, and is named by its first one."""
    reader = csv.reader(
        (f"{line}\n" for _, line in without_trailing_blanks(read_lines(path))), delimiter=separator, strict=True
    )
    number = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UserError(f"{path}:{number}: quotes that are not those of CSV: {reason(error)}") from None
        if row is None:
            return
        yield number, row
        number = reader.line_num + 1
