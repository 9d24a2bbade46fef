"""Training data in machine translation: XTREME's files of five columns, and spans of words that markers carried over.

Wrongly filled rows are left out, as everywhere these files are read; a file of which most would be is of another form.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from xdist.errors import UserError
from xdist.formats.examples import Classified, Tagged
from xdist.formats.lines import is_blank, read_lines, without_trailing_blanks

E = TypeVar("E")
Second = Literal["translated", "bilingual"]
# The texts of a row by what is requested: of English 1, English 2, translated 1, translated 2, label.
COLUMNS = {"translated": (2, 3), "bilingual": (0, 3)}
MOST_LEFT_OUT = 0.5
_MARKER = re.compile(r"(</?[A-Za-z0-9_]+>)")


def read_pairs(path: Path, *, labels: Collection[str], form: Second, need_gold: bool = False) -> Iterator[Classified]:
    """The rows of `en-xx-translated.tsv`: both texts in translation, or the English first with the translated second text. Rows
    of another width or without a label are left out. Raises UserError for a file of which most rows are."""
    first, second = COLUMNS[form]

    def rows() -> Iterator[tuple[str, Classified | None]]:
        for number, line in without_trailing_blanks(read_lines(path)):
            cells = line.split("\t")
            whole = len(cells) == 5 and cells[4].strip() in labels
            one = Classified(texts=(cells[first], cells[second]), label=cells[4].strip()) if whole else None
            yield f"{path}:{number}", one

    return _rows_with_text(rows(), "five columns: two English texts, the two in translation, and a label")


def read_marked(path: Path, *, tags: Collection[str], need_gold: bool = False) -> Iterator[Tagged]:
    """A sentence a line with markers around spans, `<PER>Mama Samia</PER> alikuja`, as `marked` writes them and a
    translation left them. Sentences with broken or unknown markers are left out. Raises UserError for a file of which most
    are."""
    kinds = {tag[2:] for tag in tags if tag.startswith("B-")}

    def rows() -> Iterator[tuple[str, Tagged | None]]:
        for number, line in without_trailing_blanks(read_lines(path)):
            yield f"{path}:{number}", None if is_blank(line) else _tagged(line, kinds)

    return _rows_with_text(rows(), f"a sentence a line with markers such as <{min(kinds)}> … </{min(kinds)}>")


def marked(sentence: Tagged) -> str:
    """The words of a tagged sentence (O, B-… and I-…) as a line with markers, to be translated and read by `read_marked`."""
    parts: list[str] = []
    kind = ""
    for word, tag in zip(sentence.words, sentence.tags or (), strict=True):
        if kind and tag != f"I-{kind}":
            parts[-1] += f"</{kind}>"
            kind = ""
        if tag != "O" and not kind:
            kind = tag[2:]
            word = f"<{kind}>{word}"
        parts.append(word)
    return " ".join(parts) + (f"</{kind}>" if kind else "")


def _tagged(line: str, kinds: Collection[str]) -> Tagged | None:
    words: list[str] = []
    tags: list[str] = []
    kind, begins = "", False
    for part in _MARKER.split(line):
        if not _MARKER.fullmatch(part):
            for word in part.split():
                words.append(word)
                tags.append(f"{'B' if begins else 'I'}-{kind}" if kind else "O")
                begins = False
        elif part.startswith("</"):
            if part[2:-1] != kind or begins:  # another span's end, or nothing between
                return None
            kind = ""
        elif kind or part[1:-1] not in kinds:
            return None
        else:
            kind, begins = part[1:-1], True
    return None if kind or not words else Tagged(words=tuple(words), tags=tuple(tags))


def _rows_with_text(rows: Iterable[tuple[str, E | None]], expected: str) -> Iterator[E]:
    """Those that are something. Raises UserError that names the first that is nothing, where most are."""
    kept = left_out = 0
    first = ""
    for where, example in rows:
        if example is None:
            left_out += 1
            first = first or where
        else:
            kept += 1
            yield example
    if left_out > MOST_LEFT_OUT * (kept + left_out):
        raise UserError(f"{first}: {left_out} of {kept + left_out} lines cannot be read; expected {expected}")
