"""Code-switching: words replaced by translations from bilingual dictionaries.

    with probability p a word draws one of the dictionaries' languages, and becomes one of its translations there, if any

Both draws are uniform, all words independent. Zheng et al. 2021 (xTune, arXiv 2106.08226: p = 0.3 for XNLI and question
answering, 0.5 for PAWS-X), after CoSDA-ML (Qin et al. 2020, arXiv 2006.06402). The word is looked up in lower case.

It differs from the published code: a language without its file is an error, there it goes missing in silence; all of an answer
stays as it is, there its boundaries alone; a word of a tagged sentence is replaced by single words only; the source language
may be another than English; `lookup: folded` finds words with punctuation attached and gives them their capitals back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from xdist.config.method import Method, register
from xdist.errors import UserError, unknown
from xdist.languages import code_among, same_language
from xdist.robust.rewriting import WordDraws, WordRewriter
from xdist.robust.word_lists import Lookup, look_up, read_dictionary
from xdist.robust.words import CACHED, Words
from xdist.tasks.rewritten import WordIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SOURCE = "en"


class CodeSwitch(Method):
    """Words replaced by translations."""

    earlier: ClassVar = {"p": "probability"}

    needs: ClassVar = "dictionary"

    method: Literal["code_switch"] = "code_switch"
    dictionaries: Path = Field(description="folder of en-xx.txt files, a word and its translation on each line")
    languages: tuple[str, ...] = Field(min_length=1, description="of the translations: the xx")
    probability: float = Field(0.3, ge=0, le=1, description="that a word is looked up")

    @property
    def idle(self) -> bool:
        return not self.probability

    def files(self) -> list[Path]:
        return [_file(self.dictionaries, SOURCE, code) for code in self.languages]

    def check(self) -> None:
        _read_lists(self.dictionaries, SOURCE, self.languages)

    def knows(self, language: str) -> bool:
        return same_language(language, SOURCE)

    def rewriter(self, tokenizer: PreTrainedTokenizerBase, **draws: Any) -> CodeSwitcher:
        return CodeSwitcher(tokenizer, self.dictionaries, languages=self.languages, probability=self.probability, **draws)


def _files(folder: Path, source: str) -> dict[str, Path]:
    return {path.stem.removeprefix(f"{source}-"): path for path in sorted(folder.glob(f"{source}-*.txt"))}


def _file(folder: Path, source: str, language: str) -> Path:
    """The dictionary of a language in any code, there or not."""
    files = _files(folder, source)
    return files.get(code_among(tuple(files), language) or "", folder / f"{source}-{language}.txt")


def dictionaries_in(folder: Path, source: str, languages: Sequence[str] | None) -> list[Path]:
    """The files of those languages, or of all that the folder has. Raises UserError for what is missing."""
    files = _files(folder, source)
    paths = {language: _file(folder, source, language) for language in languages or files}
    for language, path in paths.items():
        if path not in files.values():
            raise UserError(f"{path}: no such file; {unknown('language', language, files)}")
    if not files:
        raise UserError(f"{folder}: no dictionary {source}-xx.txt in this folder")
    return [paths[language] for language in languages or files]


def _read_lists(folder: Path, source: str, languages: Sequence[str] | None) -> list[dict[str, tuple[str, ...]]]:
    return [read_dictionary(path) for path in dictionaries_in(folder, source, languages)]


class CodeSwitcher(WordRewriter):
    """`languages`: None for all that the folder has; the rest as in `CodeSwitch` and `WordRewriter`."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        dictionaries: Path,
        *,
        seed: int,
        stream: int,
        probability: float = 0.3,
        languages: Sequence[str] | None = None,
        lookup: Lookup = "lower",
        source: str = SOURCE,
        copies: int | None = None,
        max_length: int | None = None,
    ) -> None:
        super().__init__(tokenizer, seed, stream, max_length=max_length, copies=copies)
        self.probability, self.lookup, self.source = probability, lookup, source
        self.dictionaries = _read_lists(dictionaries, source, languages)
        self.spelled_translations = lru_cache(CACHED)(self._translations_of)

    def replacements(
        self, pieces: Sequence[WordIds], words: Words, draws: WordDraws, language: str, one: bool
    ) -> Iterator[tuple[int, WordIds]] | None:
        return self._draw_words(pieces, words, draws, one) if same_language(language, self.source) else None

    def produces(self, ids: np.ndarray) -> np.ndarray | None:
        if self.lookup == "folded":
            return None  # translations in the word's capitals, its punctuation round them
        lists = self.dictionaries
        return np.union1d(
            ids,
            self.vocabulary.ids_of_words(word for words in lists for translations in words.values() for word in translations),
        )

    def _draw_words(
        self, pieces: Sequence[WordIds], words: Words, draws: WordDraws, one: bool
    ) -> Iterator[tuple[int, WordIds]]:
        switch, language, translation = draws(words.index, np.arange(3)[:, None])
        for word in np.flatnonzero(words.free & (switch < self.probability)).tolist():
            choices = self.spelled_translations(int(language[word] * len(self.dictionaries)), one, pieces[word])
            if choices:
                yield word, choices[int(translation[word] * len(choices))]

    def _translations_of(self, number: int, one: bool, word: WordIds) -> list[WordIds]:
        """The tokens of each translation that the vocabulary can spell."""
        translations = look_up(self.vocabulary.text(word), self.dictionaries[number], self.lookup)
        after_blank = self.vocabulary.after_blank(word)
        spelled = (self.vocabulary.encode(translation, one, after_blank) for translation in translations)
        return [ids for ids in spelled if ids is not None]


register(CodeSwitch)
