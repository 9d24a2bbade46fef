"""Tagged sentences: one `word TAB tag` a line, a blank line between sentences (UD-POS, WikiANN).

The official scorer makes an empty sentence of every additional blank line and so shifts all that follow. Here a blank
line that ends no sentence is an error that names the line: a file that has one cannot be aligned with its predictions.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from xdist.errors import UserError, unknown
from xdist.formats.examples import Tagged
from xdist.formats.gold import uniform
from xdist.formats.lines import read_lines

# The seven tags of WikiANN and the seventeen of Universal Dependencies.
WIKIANN_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
UPOS_TAGS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)


def read(path: Path, *, tags: Collection[str], raw: bool = False, need_gold: bool = False) -> Iterator[Tagged]:
    """The sentences of a prepared file; a test file holds the words alone (tags None). With `raw`, of WikiANN as
    published: lines read `xx:word TAB tag` and the text up to the first colon is cut.

    A word may be empty or blank where a tag stands beside it (WikiANN has words of nothing but a zero-width mark).
    Raises UserError: an unknown tag, another number of columns, words with and without tag in one file, a blank line
    that ends no sentence, no tags under `need_gold`, no colon under `raw`.
    """
    return uniform(_sentences(path, tags, raw), need_gold)


def _sentences(path: Path, tags: Collection[str], raw: bool) -> Iterator[tuple[str, Tagged]]:
    words: list[str] = []
    labels: list[str] = []
    number = 0
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if not line.strip():
            if not words:
                raise UserError(f"{where}: blank line without a sentence before it: it would count as an empty sentence")
            yield where, _sentence(words, labels)
            words, labels = [], []
            continue
        word, *rest = line.split("\t")
        if len(rest) > 1:
            raise UserError(f"{where}: expected 'word TAB tag', found {len(rest) + 1} columns")
        if words and bool(labels) != bool(rest):
            raise UserError(f"{where}: {'a tag' if rest else 'no tag'} here, {'a tag' if labels else 'no tag'} above")
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


def _sentence(words: list[str], labels: list[str]) -> Tagged:
    return Tagged(words=tuple(words), tags=tuple(labels) or None)
