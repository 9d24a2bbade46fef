"""Parallel text: SIB-200's training sentences, matched by their number in FLORES-200."""

from collections.abc import Iterator
from pathlib import Path

from xdist.errors import UserError
from xdist.formats.examples import Line
from xdist.formats.lines import read_lines, without_trailing_blanks


def read_sib(foreign: Path, english: Path, need_gold: bool = True) -> Iterator[Line]:
    """The sentences that both files have, in the order of the first. Raises UserError for a file without the columns `index_id`
    and `text`, a number that appears twice, and two files without a sentence in common."""
    others, found = _sentences(english), 0
    for id, (number, text) in _sentences(foreign).items():
        if id in others:
            found += 1
            yield Line(number=number, text=text, new=True, translation=others[id][1])
    if not found:
        raise UserError(f"{foreign}: has no sentence in common with {english}, by index_id")


def _sentences(path: Path) -> dict[str, tuple[int, str]]:
    """(number of the sentence in the file, from 1, its text) by its number in FLORES-200."""
    rows = ((number, line.split("\t")) for number, line in without_trailing_blanks(read_lines(path)))
    _, head = next(rows, (0, []))
    if missing := [name for name in ("index_id", "text") if name not in head]:
        raise UserError(f"{path}:1: no column '{missing[0]}' (found: {', '.join(head) or 'none'})")
    place, text = head.index("index_id"), head.index("text")
    found: dict[str, tuple[int, str]] = {}
    for number, cells in rows:
        if len(cells) != len(head):
            raise UserError(f"{path}:{number}: expected {len(head)} columns, found {len(cells)}")
        if cells[place] in found:
            raise UserError(f"{path}:{number}: index_id {cells[place]} appears twice")
        found[cells[place]] = (len(found) + 1, cells[text].strip())
    return found
