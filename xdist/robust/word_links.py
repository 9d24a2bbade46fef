"""Which words of parallel text translate each other: by a bilingual dictionary, or by links that an aligner found.

Words are found in the pieces of prepared rows (words.py), so nothing is prepared again for them. A word that has several
partners in its pair of sentences is left out, with them: a partner would be its right and its wrong answer at once. A
dictionary is looked up in lower case, without the punctuation round a word. Words are what blanks part, so a dictionary finds
hardly any in a language that is written without them, unless its text has been cut into words.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from xdist.errors import UserError
from xdist.formats.pharaoh import LinkFile
from xdist.languages import code_among
from xdist.robust.word_lists import read_dictionary
from xdist.robust.words import CACHED, WordPieces, Words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from xdist.data.batches import Linker
    from xdist.tasks.family import Family, Row

ENGLISH = "en"
NONE = np.zeros((0, 4), np.int64)


class Linked(Protocol):
    """A section that says how words are linked: `train.parallel`, `align`."""

    @property
    def dictionaries(self) -> str | None: ...

    @property
    def links(self) -> str | None: ...


def word_files(section: Linked, languages: Iterable[str]) -> dict[str, Path]:
    """By language the file of its dictionary or of its links, there or not; nothing where the section names none."""
    if section.dictionaries is not None:
        folder, before, after = Path(section.dictionaries), f"{ENGLISH}-", ".txt"
    elif section.links is not None:
        folder, before, after = Path(section.links), "", f"-{ENGLISH}.links"
    else:
        return {}
    by_code = {path.name.removeprefix(before).removesuffix(after): path for path in sorted(folder.glob(f"{before}*{after}"))}
    files: dict[str, Path] = {}
    for language in dict.fromkeys(languages):
        code = code_among(tuple(by_code), language)
        files[language] = folder / f"{before}{language}{after}" if code is None else by_code[code]
    return files


def check_words(section: Linked, languages: Iterable[str]) -> None:
    """Raises UserError for a language without a file, and for a dictionary that cannot be read."""
    for path in word_files(section, languages).values():
        if not path.is_file():
            existing = sorted(file.name for file in path.parent.glob("en-*.txt" if section.links is None else "*-en.links"))
            listed = ", ".join(existing[:8]) + (", …" if len(existing) > 8 else "")
            raise UserError(f"{path}: no such file (there are: {listed or 'none'})")
        if section.dictionaries is not None:
            read_dictionary(path)


def make_linker(section: Linked, tokenizer: PreTrainedTokenizerBase, languages: Iterable[str]) -> Linker | None:
    """What links the words of rows, as `section` says; None where it says nothing. Raises UserError as `check_words`, and for a
    tokenizer whose pieces do not show words."""
    files = word_files(section, languages := list(languages))
    check_words(section, languages)
    if not files:
        return None
    return DictionaryLinks(tokenizer, files) if section.dictionaries is not None else AlignerLinks(tokenizer, files)


class DictionaryLinks:
    """`files`: by language its dictionary, from English."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, files: dict[str, Path]) -> None:
        self.vocabulary = WordPieces(tokenizer)
        self.translations = {language: _read_lookup(path) for language, path in files.items()}
        self.written = lru_cache(CACHED)(lambda pieces: plain_form(self.vocabulary.text(pieces)))

    def words(self, row: Row, family: Family) -> tuple[Words, list[str]]:
        """The words of a row, and how each is looked up: '' for one that is not all there."""
        words, tokens = self.vocabulary.words(row, family), np.asarray(row["tokens"]).tolist()
        spans = zip(words.low.tolist(), words.high.tolist(), words.free.tolist(), strict=True)
        return words, [self.written(tuple(tokens[low:high])) if free else "" for low, high, free in spans]

    def entries(self, language: str) -> list[tuple[str, str]]:
        """(word of the language, English word), as words are looked up."""
        return [
            (translation, word) for word, translations in self.translations[language].items() for translation in translations
        ]

    def __call__(self, row: Row, family: Family, language: str) -> np.ndarray:
        words, written = self.words(row, family)
        foreign = words.low < row["lengths"][0]
        places: dict[str, list[int]] = defaultdict(list)
        for place in np.flatnonzero(foreign).tolist():
            places[written[place]].append(place)
        translations = self.translations[language]
        links = [
            (at, place)
            for place in np.flatnonzero(~foreign).tolist()
            if written[place]
            for translation in translations.get(written[place], ())
            for at in places.get(translation, ())
        ]
        return _spans(words, links)


class AlignerLinks:
    """`files`: by language its links, those of a row in the line that the row is of."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, files: dict[str, Path]) -> None:
        self.vocabulary = WordPieces(tokenizer)
        self.files = {language: LinkFile(path) for language, path in files.items()}

    def __call__(self, row: Row, family: Family, language: str) -> np.ndarray:
        words, tokens = self.vocabulary.words(row, family), np.asarray(row["tokens"])
        file, line = self.files[language], int(row["example"])
        links = file.links(line)
        sides = [np.flatnonzero(side) for side in (words.low < row["lengths"][0], words.low >= row["lengths"][0])]
        if not row["cut"]:
            file.check(line, links, (len(sides[0]), len(sides[1])))
        ends = np.append(self.vocabulary.special[tokens], True)
        linked = []
        for link in links:
            if all(number < len(side) for number, side in zip(link, sides, strict=True)):
                pair = int(sides[0][link[0]]), int(sides[1][link[1]])
                # The last word of a text that was cut may be the beginning of a longer one.
                if not row["cut"] or not any(ends[words.high[word]] for word in pair):
                    linked.append(pair)
        return _spans(words, linked)


def _spans(words: Words, links: Sequence[tuple[int, int]]) -> np.ndarray:
    """(n, 4): first token and the one after the last of both words of each link, of words that have no other."""
    pairs = list(dict.fromkeys(links))
    first, second = Counter(left for left, _ in pairs), Counter(right for _, right in pairs)
    alone = [pair for pair in pairs if first[pair[0]] == second[pair[1]] == 1]
    if not alone:
        return NONE
    left, right = np.array(alone).T
    return np.stack([words.low[left], words.high[left], words.low[right], words.high[right]], axis=1).astype(np.int64)


def _read_lookup(path: Path) -> dict[str, tuple[str, ...]]:
    """{plain English word: plain translations}."""
    words: dict[str, dict[str, None]] = defaultdict(dict)
    for word, translations in read_dictionary(path).items():
        words[plain_form(word)].update(dict.fromkeys(map(plain_form, translations)))
    return {word: tuple(filter(None, plain)) for word, plain in words.items() if word}


def plain_form(word: str) -> str:
    """In lower case, without what is neither letter, mark nor digit at its ends: in many scripts a word ends in a mark."""
    word = unicodedata.normalize("NFC", word.lower())
    letters = [place for place, sign in enumerate(word) if unicodedata.category(sign)[0] in "LMN"]
    return word[letters[0] : letters[-1] + 1] if letters else ""
