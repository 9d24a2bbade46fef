"""Tagged sentences: one `word TAB tag` a line, a blank line between sentences (UD-POS, WikiANN).

The official scorer makes an empty sentence of every additional blank line and so shifts all that follow. Here a blank
line that ends no sentence is an error that names the line: a file that has one cannot be aligned with its predictions. Blank
lines at the end of the file are none.

A test file may hold the words alone, and so does, to a reader, every file of another form. What its first lines show is
reported before any of them is taken for a word.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

from xdist.errors import UserError, shown, unknown
from xdist.formats.examples import Tagged
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import is_blank, read_lines, without_trailing_blanks

# The seven tags of WikiANN and the seventeen of Universal Dependencies.
WIKIANN_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
UPOS_TAGS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)


EXPECTED = "expected 'word TAB tag'"
LOOKED_AT = 20  # lines with something in them, at the beginning of a file
_PREFIX = re.compile(r"([a-z]{2,3}(?:-[a-z-]+)?):.")
_PARTS = re.compile(r"[ ,;|]+")
_HEADINGS = ("word", "words", "token", "tokens", "form", "text")


def read(path: Path, *, tags: Collection[str], raw: bool = False, need_gold: bool = False) -> Iterator[Tagged]:
    """The sentences of a prepared file; a test file holds the words alone (tags None). With `raw`, of WikiANN as
    published: lines read `xx:word TAB tag` and the text up to the first colon is cut.

    A word may be empty or blank where it has a tag (WikiANN has words of nothing but a zero-width mark).
    Raises UserError: an unknown tag, another number of columns, words with and without tag in one file, a blank line
    that ends no sentence, no tags under `need_gold`, no colon under `raw`, a file in another form: blanks or commas for
    tabs, tags alone, a heading, words with the prefix of WikiANN as published.
    """
    return with_uniform_gold(_sentences(path, tags, raw, need_gold), need_gold)


def _sentences(path: Path, tags: Collection[str], raw: bool, need_gold: bool) -> Iterator[tuple[str, Tagged]]:
    refuse_other_forms(list(islice(with_words(path), LOOKED_AT)), path, tags, raw)
    words: list[str] = []
    labels: list[str] = []
    number = 0
    for number, line in without_trailing_blanks(read_lines(path)):
        where = f"{path}:{number}"
        if is_blank(line):
            if not words:
                raise UserError(f"{where}: blank line without a sentence before it: it would count as an empty sentence")
            yield where, _sentence(words, labels)
            words, labels = [], []
            continue
        word, *rest = line.split("\t")
        if len(rest) > 1:
            raise UserError(f"{where}: {EXPECTED}, found {len(rest) + 1} columns: {shown(line)}")
        if words and bool(labels) != bool(rest):
            here, above = ("a tag", "no tag") if rest else ("no tag", "a tag")
            raise UserError(f"{where}: {here} here, {above} above: {EXPECTED}, found {shown(line)}")
        if need_gold and not rest:
            raise UserError(f"{where}: gold is missing or blanked: {EXPECTED}, found no tab: {shown(line)}")
        if rest:
            tag = rest[0].strip()
            if tag not in tags:
                raise UserError(f"{where}: {unknown('tag', tag, tags)}")
            labels.append(tag)
        if raw:
            prefix, colon, word = word.partition(":")
            if not colon:
                raise UserError(f"{where}: expected 'language:word', found '{prefix}'")
        words.append(word)
    if words:
        yield f"{path}:{number}", _sentence(words, labels)


def with_words(path: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in read_lines(path) if not is_blank(line))


def refuse_other_forms(lines: Sequence[tuple[int, str]], path: Path, tags: Collection[str], raw: bool) -> None:
    """Raises UserError if these first lines of a file show another form."""
    if not lines:
        return
    first, texts = f"{path}:{lines[0][0]}", [line for _, line in lines]
    words = [text.partition("\t")[0] for text in texts]
    prefixes = {match[1] if (match := _PREFIX.match(word)) else "" for word in words}
    if not raw and len(prefixes) == 1 and "" not in prefixes:
        (code,) = prefixes
        raise UserError(
            f"{first}: every word begins with '{code}:', as in WikiANN as published: {shown(texts[0])}; "
            f"expected 'word TAB tag': cut it off, as the official preparation does"
        )
    if any("\t" in text for text in texts):
        return
    # Blanks, commas or bars where tabs should be: the last part of every line is a tag, or every line has several parts, as a
    # sentence a line has too. Tags alone are lines of one part.
    parts = [_PARTS.split(text.strip()) for text in texts]
    if all(last in tags for *_, last in parts) or (len(parts) > 1 and all(len(found) > 1 for found in parts)):
        raise UserError(f"{first}: {EXPECTED}, found no tab: {shown(texts[0])}")
    if texts[0].strip() in _HEADINGS:
        raise UserError(f"{first}: {EXPECTED}, found a heading: {shown(texts[0])}")


def _sentence(words: list[str], labels: list[str]) -> Tagged:
    return Tagged(words=tuple(words), tags=tuple(labels) or None)
