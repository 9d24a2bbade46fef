"""Sentences of one side of a parallel corpus: Tatoeba, BUCC 2018, NTREX-128 and any text of one sentence a line.

Tatoeba as officially prepared: `xx-en.xx` in the original order, `xx-en.en` sorted by code point; a label file gives,
for each English line, the 0-based row of its translation among the foreign lines.
"""

from collections.abc import Iterator
from pathlib import Path

from xdist.errors import UserError
from xdist.formats.examples import Sentence
from xdist.formats.lines import read_lines


def read_tatoeba(path: Path, *, labels: Path | None = None) -> Iterator[Sentence]:
    """The sentences of one file; `id` is the 0-based row, `gold` the row on the other side, from `labels` if given.

    Raises UserError: a label that is no row number or stands twice, another number of labels than of sentences.
    """
    gold = list(_rows(labels)) if labels else None
    row = -1
    for row, (_, line) in enumerate(read_lines(path)):
        if gold is not None and row >= len(gold):
            raise UserError(f"{labels}: {len(gold)} labels, but {path} has more sentences")
        yield Sentence(id=str(row), text=line.strip(), gold=gold[row] if gold is not None else None)
    if gold is not None and len(gold) != row + 1:
        raise UserError(f"{labels}: {len(gold)} labels for the {row + 1} sentences of {path}")


def read_parallel(path: Path) -> Iterator[Sentence]:
    """Row i here translates row i of the other file (NTREX-128, Tatoeba before it is sorted): `gold` is the own row."""
    for row, (_, line) in enumerate(read_lines(path)):
        yield Sentence(id=str(row), text=line.strip(), gold=str(row))


def read_bucc(path: Path) -> Iterator[Sentence]:
    """BUCC: `id TAB sentence`. Gold pairs stand in a file of their own. Raises UserError: no tab, an id twice."""
    seen: set[str] = set()
    for number, line in read_lines(path):
        id, tab, text = line.partition("\t")
        if not tab or not id:
            raise UserError(f"{path}:{number}: expected 'id TAB sentence', found {line!r:.40}")
        if id in seen:
            raise UserError(f"{path}:{number}: id '{id}' stands twice")
        seen.add(id)
        yield Sentence(id=id, text=text.strip())


def read_bucc_gold(path: Path) -> Iterator[tuple[str, str]]:
    """BUCC gold: (foreign id, English id) a line. Raises UserError for a line that is not two cells."""
    for number, line in read_lines(path):
        cells = line.strip().split("\t")
        if len(cells) != 2:
            raise UserError(f"{path}:{number}: expected 'foreign id TAB English id', found {line!r:.40}")
        yield cells[0], cells[1]


def _rows(path: Path) -> Iterator[str]:
    rows: list[tuple[int, str]] = [(number, line.strip()) for number, line in read_lines(path)]
    valid = {str(row) for row in range(len(rows))}
    for number, row in rows:
        if row not in valid:
            raise UserError(f"{path}:{number}: '{row}' is no row from 0 to {len(rows) - 1}, or stands twice")
        valid.remove(row)
        yield row
