"""Sentences of a treebank as Universal Dependencies publishes it (CoNLL-U): words, their UPOS tags, and where no blank is.

Of a line's ten columns ID, FORM, UPOS and MISC are read. A word that is written together with its neighbours (`3-4 vámonos`)
is in the file once as it is written and once in its parts, each with a tag: the parts are the words, as officially, with
blanks between them, since together they do not spell what is written.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from xdist.errors import UserError, unknown
from xdist.formats import tagging
from xdist.formats.examples import Tagged
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import read_lines

TREEBANK = ".conllu"
COLUMNS = 10
NONE = "_"
UPOS = 4


def read(path: Path, *, tags: Collection[str], need_gold: bool = False) -> Iterator[Tagged]:
    """The sentences of a treebank, without tags where its UPOS column is `_` throughout; of a file with another ending
    as `tagging.read` does. Raises UserError naming file and line: another number of columns, an unknown tag, a word with a tag
    next to one without, no tags under `need_gold`."""
    if not path.name.endswith(TREEBANK):
        return tagging.read(path, tags=tags, need_gold=need_gold)
    return with_uniform_gold(sentences(path, tags), need_gold)


def numbered_columns(line: str, where: str) -> tuple[int, int | None, list[str]] | None:
    """(number of the word, last of those that are written as one or None, ten columns) of a line; None of an empty node, which
    is not in the text. Raises UserError for another number of columns, and what is no number of a word."""
    columns = line.split("\t")
    if len(columns) != COLUMNS:
        raise UserError(f"{where}: expected the {COLUMNS} columns of CoNLL-U, found {len(columns)}")
    first, dash, last = columns[0].partition("-")
    if "." in columns[0]:
        return None
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise UserError(f"{where}: '{columns[0]}' is no number of a word")
    return int(first), int(last) if dash else None, columns


def sentences(path: Path, tags: Collection[str], column: int = UPOS) -> Iterator[tuple[str, Tagged]]:
    """(file:line, sentence) of each; the tags are in a `column` from 1, any where no `tags` are given. Raises UserError as
    `read`."""
    words: list[str] = []
    labels: list[str] = []
    glued: list[bool] = []
    together, whole_glued = 0, False  # the number of the last part of a word that is written as one, and its SpaceAfter=No
    number = 0
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if not line.strip():
            if words:
                yield where, Tagged(words=tuple(words), tags=tuple(labels) or None, glued=tuple(glued))
            words, labels, glued, together = [], [], [], 0
            continue
        if line.startswith("#"):
            continue
        if (numbered := numbered_columns(line, where)) is None:
            continue
        first, last, columns = numbered
        form, tag = columns[1], columns[column - 1]
        no_blank = "SpaceAfter=No" in columns[9].split("|")
        if last is not None:
            together, whole_glued = last, no_blank
            continue
        if tag != NONE and tags and tag not in tags:
            raise UserError(f"{where}: {unknown('tag', tag, tags)}")
        if words and bool(labels) != (tag != NONE):
            raise UserError(f"{where}: {'no tag' if tag == NONE else 'a tag'} here, {'a tag' if labels else 'no tag'} above")
        if tag != NONE:
            labels.append(tag)
        words.append(form)
        glued.append(whole_glued if first == together else no_blank)
    if words:
        yield f"{path}:{number}", Tagged(words=tuple(words), tags=tuple(labels) or None, glued=tuple(glued))
