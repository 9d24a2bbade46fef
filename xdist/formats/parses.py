"""Dependency trees of texts, from CoNLL-U: each word's head and its UPOS tag.

A sentence is known again by its characters without white space, so it does not matter how its parser divided it into
words. Words are the ones that are written: one that stands for several (`3-4 vámonos`) has the analysis of its first part, and
what depends on any of its parts depends on it. The same sentence in its parts is known too, since tagged files have those.
Empty nodes (`8.1`) are left out. In a file with `# newdoc` before each text, the sentences up to the next one are one text;
else each sentence is one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from xdist.errors import UserError, shown, unknown
from xdist.formats.lines import read_lines
from xdist.formats.tagging import UPOS_TAGS
from xdist.formats.treebank import NONE, numbered_columns

ROOT = -1
UNTAGGED = len(UPOS_TAGS)  # the number of the tag of what has none: special tokens, and words without analysis
_TAG = {tag: number for number, tag in enumerate(UPOS_TAGS)}


@dataclass(frozen=True, slots=True)
class ParsedText:
    """The n words of a text: their characters without white space, their tags as numbers in UPOS_TAGS, and the number of each
    one's head from 0, ROOT of those that have none. Following heads ends at ROOT."""

    forms: tuple[str, ...]
    tags: tuple[int, ...]
    heads: tuple[int, ...]

    @property
    def key(self) -> str:
        return "".join(self.forms)


@dataclass(slots=True)
class _Sentence:
    """Words by their numbers in the file, and those that are written as one: (form, first, last)."""

    where: str = ""
    words: list[tuple[str, int, int, str]] = field(default_factory=list)  # form, tag, head from 1, file:line
    fused: list[tuple[str, int, int]] = field(default_factory=list)

    def parts(self) -> ParsedText:
        forms, tags, heads, _ = zip(*self.words, strict=True)
        return ParsedText(forms, tags, tuple(head - 1 for head in heads))

    def written(self) -> ParsedText:
        """The words as they are written."""
        parts = self.parts()
        if not self.fused:
            return parts
        group, forms, firsts = list[int](), list[str](), list[int]()
        of = {number: (form, first, last) for form, first, last in self.fused for number in range(first - 1, last)}
        for number, form in enumerate(parts.forms):
            if number not in of or number == of[number][1] - 1:
                firsts.append(number)
                forms.append(of[number][0] if number in of else form)
            group.append(len(firsts) - 1)
        heads = _heads_of_groups(parts.heads, group, firsts)
        return ParsedText(tuple(forms), tuple(parts.tags[first] for first in firsts), heads)


def _heads_of_groups(heads: Sequence[int], group: Sequence[int], firsts: Sequence[int]) -> tuple[int, ...]:
    """Which group each group depends on: that of its first word's head, outside of it. Where that goes in a circle somewhere,
    as it may where a group's words are far apart in the tree, the word nearest to the root speaks for each: its head is
    nearer."""

    def outside(word: int) -> int:
        own = group[word]
        while word != ROOT and group[word] == own:
            word = heads[word]
        return ROOT if word == ROOT else group[word]

    heads_of_groups = tuple(map(outside, firsts))
    if all(_depth(heads_of_groups, one) is not None for one in range(len(heads_of_groups))):
        return heads_of_groups
    deep = [_depth(heads, word) or 0 for word in range(len(heads))]
    members = [[word for word in range(len(heads)) if group[word] == one] for one in range(len(firsts))]
    return tuple(outside(min(words, key=deep.__getitem__)) for words in members)


def _depth(heads: Sequence[int], word: int) -> int | None:
    """Steps to ROOT; None: it is never reached."""
    for steps in range(len(heads) + 1):
        if word == ROOT:
            return steps
        word = heads[word]
    return None


def _sentences(path: Path) -> Iterator[tuple[_Sentence, bool]]:
    """Each sentence of a file, and whether it begins a text (`# newdoc`)."""
    sentence, begins, number = _Sentence(), False, 0
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if not line.strip():
            if sentence.words:
                yield _checked(sentence), begins
                sentence, begins = _Sentence(), False
            continue
        if line.startswith("#"):
            begins = begins or line[1:].split()[:1] == ["newdoc"]
            continue
        _add(sentence, line, where)
    if sentence.words:
        yield _checked(sentence), begins


def _add(sentence: _Sentence, line: str, where: str) -> None:
    if (numbered := numbered_columns(line, where)) is None:
        return
    first, last, columns = numbered
    id, form, tag, head = columns[0], bare(columns[1]), columns[3], columns[6]
    expected = len(sentence.words) + 1
    if first != expected or (last is not None and last <= first):
        raise UserError(f"{where}: expected word {expected}, found '{id}'")
    if last is not None:
        if sentence.fused and sentence.fused[-1][2] >= first:
            raise UserError(f"{where}: '{id}' begins inside of the word before it")
        sentence.fused.append((form, first, last))
        return
    if not head.isdecimal():
        raise UserError(f"{where}: column 7 is {shown(head)}: expected the number of the word's head, 0 of a root")
    if tag != NONE and tag not in _TAG:
        raise UserError(f"{where}: {unknown('tag', tag, UPOS_TAGS)}")
    sentence.words.append((form, _TAG.get(tag, UNTAGGED), int(head), where))


def _checked(sentence: _Sentence) -> _Sentence:
    """Raises UserError for heads that are no tree."""
    heads = [head for _, _, head, _ in sentence.words]
    for _, _, head, where in sentence.words:
        if head > len(heads):
            raise UserError(f"{where}: the head {head} is no word of this sentence, which has {len(heads)}")
    if sentence.fused and sentence.fused[-1][2] > len(heads):
        raise UserError(f"{sentence.words[-1][3]}: the sentence ends before word {sentence.fused[-1][2]}")
    done: set[int] = {0}
    for number, (_, _, _, where) in enumerate(sentence.words, 1):
        path: set[int] = set()
        while number not in done:
            if number in path:
                raise UserError(f"{where}: the word depends on itself: heads go in a circle")
            path.add(number)
            number = heads[number - 1]
        done |= path
    return sentence


def bare(text: str) -> str:
    """Without white space."""
    return "".join(text.split())


def joined(many: Sequence[ParsedText]) -> ParsedText:
    """Several sentences as one text."""
    if len(many) == 1:
        return many[0]
    forms, tags, heads = list[str](), list[int](), list[int]()
    for parse in many:
        heads += [head if head == ROOT else head + len(forms) for head in parse.heads]
        forms += parse.forms
        tags += parse.tags
    return ParsedText(tuple(forms), tuple(tags), tuple(heads))


class Parses:
    """The parses of a file, by the characters of their text. Of several analyses of one text the first counts. Raises UserError
    naming file and line: another number of columns, numbers out of order, an unknown tag, heads that are no tree."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        texts: list[list[_Sentence]] = []
        marked = False
        for sentence, begins in _sentences(path):
            marked = marked or begins
            if begins or not marked:
                texts.append([])
            texts[-1].append(sentence)
        self._of: dict[str, ParsedText] = {}
        written = [joined([one.written() for one in text]) for text in texts]
        for parse in (*written, *(joined([one.parts() for one in text]) for text in texts if any(one.fused for one in text))):
            self._of.setdefault(parse.key, parse)

    def __len__(self) -> int:
        return len(self._of)

    def of(self, text: str) -> ParsedText | None:
        """That of a text, with any white space."""
        return self._of.get(bare(text))


def parses_in(path: Path) -> Parses:
    """Those of a file, read once as long as it stays as it is. Raises UserError as `Parses`."""
    try:
        state = path.stat()
    except OSError:
        return Parses(path)
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int, _size: int) -> Parses:
    return Parses(path)
