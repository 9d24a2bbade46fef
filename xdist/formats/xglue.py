"""The released files of XGLUE that no other reader fits: tagged words with a blank before the tag, and rows of three texts."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from xdist.errors import UserError, shown, unknown
from xdist.formats import classification
from xdist.formats.examples import Classified, Tagged
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import is_blank, read_lines

DOCUMENT = "-DOCSTART-"
EXPECTED = "expected 'word tag', with one blank between"
# Folders of the release whose tasks need a decoder, which an encoder is not.
LEFT_OUT = ("QG", "NTG")


def read_tagged(path: Path, *, tags: Collection[str], need_gold: bool = False) -> Iterator[Tagged]:
    """NER and POS: a word, a blank and its tag a line, blank lines between sentences; a file may hold words alone. Lines that
    begin a document are no words, and several blank lines are as good as one, as the official scorer has it.

    Raises UserError: a tab for the blank, an unknown tag, words with and without tag in one file, no tags under `need_gold`.
    """
    return with_uniform_gold(_sentences(path, tags), need_gold, EXPECTED)


def is_word(line: str) -> bool:
    """Whether a line of NER or POS holds a word: not those between sentences and documents."""
    return not is_blank(line) and not line.startswith(DOCUMENT)


def _sentences(path: Path, tags: Collection[str]) -> Iterator[tuple[str, Tagged]]:
    words: list[str] = []
    labels: list[str] = []
    number = 0
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if not is_word(line):
            if words:
                yield where, Tagged(words=tuple(words), tags=tuple(labels) or None)
                words, labels = [], []
            continue
        if "\t" in line:
            raise UserError(f"{where}: {EXPECTED}, found a tab: {shown(line)}")
        # A word may have blanks in it; what is behind the last one is the tag.
        word, gap, tag = line.strip().rpartition(" ")
        if words and bool(labels) != bool(gap):
            here, above = ("a tag", "no tag") if gap else ("no tag", "a tag")
            raise UserError(f"{where}: {here} here, {above} above: {EXPECTED}, found {shown(line)}")
        if gap and tag not in tags:
            raise UserError(f"{where}: {unknown('tag', tag, tags)}")
        words.append(word if gap else tag)
        if gap:
            labels.append(tag)
    if words:
        yield f"{path}:{number}", Tagged(words=tuple(words), tags=tuple(labels) or None)


def read_three(path: Path, *, labels: Collection[str], need_gold: bool = False) -> Iterator[Classified]:
    """QADSM and WPR: query, title, text and label, or the texts alone. Title and text become one, with a blank between, as the
    official baseline reads them. Raises UserError as `classification.read` does."""
    for example in classification.read(path, labels=labels, texts=3, need_gold=need_gold):
        query, title, text = example.texts
        yield replace(example, texts=(query, f"{title} {text}"))
