"""Tagged sentences as most corpora publish them (CoNLL): a word a line with its columns, a blank line after each sentence.

Columns are between tabs or, in a line without one, between blanks. Lines that begin with -DOCSTART- part documents.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from xdist.errors import UserError, shown, unknown
from xdist.formats.examples import Tagged
from xdist.formats.lines import is_blank, read_lines
from xdist.formats.tagging import LOOKED_AT, refuse_other_forms, with_words

DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile(" +")


@dataclass(frozen=True, slots=True)
class WordColumns:
    """The columns of words and tags, from 1, from the end where they are negative. Lines that begin with the `comment` are left
    out. `prefixed`: words read `xx:word`, and the part up to the first colon is cut."""

    word: int = 1
    tag: int = -1
    comment: str = ""
    prefixed: bool = False

    @property
    def width(self) -> int:
        """The fewest columns that hold both; one from the end comes after the other."""
        if min(self.word, self.tag) > 0:
            return max(self.word, self.tag)
        return max(self.word, 0) + max(self.tag, 0) + 1

    @property
    def bare(self) -> int:
        """The columns of a line that has no tag."""
        return max(self.word, 1)


def sentences(
    path: Path, columns: WordColumns, tags: Collection[str], names: Mapping[str, str]
) -> Iterator[tuple[str, Tagged]]:
    """(file:line, sentence) of each. A file whose lines all end before the tag holds words alone. No `tags`: any; `names`: what
    tags are called that are written otherwise.

    Raises UserError naming file and line: too few columns, an unknown tag, a word with a tag next to one without, no colon in a
    word that should be `prefixed`, a file without tags whose first lines show another form.
    """
    if not any(len(cells(line)) > 1 for _, line in islice(with_words(path), LOOKED_AT)):
        refuse_other_forms(list(islice(with_words(path), LOOKED_AT)), path, tags, columns.prefixed)
    words: list[str] = []
    labels: list[str] = []
    number = 0
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if is_blank(line) or line.startswith(DOCUMENT):
            if words:
                yield where, Tagged(words=tuple(words), tags=tuple(labels) or None)
            words, labels = [], []
            continue
        if columns.comment and line.startswith(columns.comment):
            continue
        found = cells(line)
        if len(found) < columns.width and len(found) != columns.bare:
            expected = f"a word in column {columns.word} and its tag in column {columns.tag}"
            raise UserError(f"{where}: expected {expected}, found {shown(line)}")
        text = _column_at(found, columns.word)
        label = _column_at(found, columns.tag) if len(found) >= columns.width else None
        if words and bool(labels) != (label is not None):
            here, above = ("no tag", "a tag") if label is None else ("a tag", "no tag")
            raise UserError(f"{where}: {here} here, {above} above: {shown(line)}")
        if label is not None:
            label = names.get(label, label)
            if tags and label not in tags:
                raise UserError(f"{where}: {unknown('tag', label, tags)}")
            labels.append(label)
        if columns.prefixed:
            prefix, colon, text = text.partition(":")
            if not colon:
                raise UserError(f"{where}: expected 'language:word', found '{prefix}'")
        words.append(text)
    if words:
        yield f"{path}:{number}", Tagged(words=tuple(words), tags=tuple(labels) or None)


def cells(line: str) -> list[str]:
    """The columns of a line."""
    return [cell.strip(" ") for cell in line.split("\t")] if "\t" in line else _BLANKS.split(line.strip(" "))


def _column_at(found: list[str], column: int) -> str:
    return found[column - 1 if column > 0 else column]
