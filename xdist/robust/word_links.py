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
from xdist.languages import same_language
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
    there = {path.name.removeprefix(before).removesuffix(after): path for path in sorted(folder.glob(f"{before}*{after}"))}
    found: dict[str, Path] = {}
    for language in dict.fromkeys(languages):
        code = language if language in there else next((code for code in there if same_language(code, language)), None)
        found[language] = folder / f"{before}{language}{after}" if code is None else there[code]
    return found


def check_words(section: Linked, languages: Iterable[str]) -> None:
    """Raises UserError for a language without a file, and for a dictionary that cannot be read."""
    for path in word_files(section, languages).values():
        if not path.is_file():
            there = sorted(one.name for one in path.parent.glob("en-*.txt" if section.links is None else "*-en.links"))
            listed = ", ".join(there[:8]) + (", …" if len(there) > 8 else "")
            raise UserError(f"{path}: no such file (there are: {listed or 'none'})")
        if section.dictionaries is not None:
            read_dictionary(path)


def linker(section: Linked, tokenizer: PreTrainedTokenizerBase, languages: Iterable[str]) -> Linker | None:
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
        self.translations = {language: _looked_up(path) for language, path in files.items()}
        self.written = lru_cache(CACHED)(lambda pieces: plain(self.vocabulary.text(pieces)))

    def words(self, row: Row, family: Family) -> tuple[Words, list[str]]:
        """The words of a row, and how each is looked up: '' for one that is not all there."""
        words, tokens = self.vocabulary.words(row, family), np.asarray(row["tokens"]).tolist()
        spans = zip(words.low.tolist(), words.high.tolist(), words.free.tolist(), strict=True)
        return words, [self.written(tuple(tokens[low:high])) if free else "" for low, high, free in spans]

    def entries(self, language: str) -> list[tuple[str, str]]:
        """(word of the language, English word), as words are looked up."""
        return [(other, word) for word, others in self.translations[language].items() for other in others]

    def __call__(self, row: Row, family: Family, language: str) -> np.ndarray:
        words, written = self.words(row, family)
        foreign = words.low < row["lengths"][0]
        places: dict[str, list[int]] = defaultdict(list)
        for place in np.flatnonzero(foreign).tolist():
            places[written[place]].append(place)
        translations = self.translations[language]
        found = [
            (other, place)
            for place in np.flatnonzero(~foreign).tolist()
            if written[place]
            for translation in translations.get(written[place], ())
            for other in places.get(translation, ())
        ]
        return _spans(words, found)


class AlignerLinks:
    """`files`: by language its links, those of a row in the line that the row is of."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, files: dict[str, Path]) -> None:
        self.vocabulary = WordPieces(tokenizer)
        self.files = {language: LinkFile(path) for language, path in files.items()}

    def __call__(self, row: Row, family: Family, language: str) -> np.ndarray:
        words, tokens = self.vocabulary.words(row, family), np.asarray(row["tokens"])
        file, line = self.files[language], int(row["example"])
        links = file.links(line)
        here = [np.flatnonzero(side) for side in (words.low < row["lengths"][0], words.low >= row["lengths"][0])]
        if not row["cut"]:
            file.check(line, links, (len(here[0]), len(here[1])))
        ends = np.append(self.vocabulary.special[tokens], True)
        found = []
        for link in links:
            if all(number < len(side) for number, side in zip(link, here, strict=True)):
                pair = int(here[0][link[0]]), int(here[1][link[1]])
                # The last word of a text that was cut may be the beginning of a longer one.
                if not row["cut"] or not any(ends[words.high[word]] for word in pair):
                    found.append(pair)
        return _spans(words, found)


def _spans(words: Words, found: Sequence[tuple[int, int]]) -> np.ndarray:
    """(n, 4): first token and the one after the last of both words of each link, of words that have no other."""
    pairs = list(dict.fromkeys(found))
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    alone = [pair for pair in pairs if first[pair[0]] == second[pair[1]] == 1]
    if not alone:
        return NONE
    one, other = np.array(alone).T
    return np.stack([words.low[one], words.high[one], words.low[other], words.high[other]], axis=1).astype(np.int64)


def _looked_up(path: Path) -> dict[str, tuple[str, ...]]:
    """{plain English word: plain translations}."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for word, translations in read_dictionary(path).items():
        found[plain(word)].update(dict.fromkeys(map(plain, translations)))
    return {word: tuple(filter(None, others)) for word, others in found.items() if word}


def plain(word: str) -> str:
    """In lower case, without what is neither letter, mark nor digit at its ends: in many scripts a word ends in a mark."""
    word = unicodedata.normalize("NFC", word.lower())
    kept = [place for place, sign in enumerate(word) if unicodedata.category(sign)[0] in "LMN"]
    return word[kept[0] : kept[-1] + 1] if kept else ""
