"""Code-switching: words replaced by translations from bilingual dictionaries.

    with probability p a word draws one of the dictionaries' languages, and becomes one of its translations there, if any

Both draws are uniform, all words independent. Zheng et al. 2021 (xTune, arXiv 2106.08226: p = 0.3 for XNLI and question
answering, 0.5 for PAWS-X), after CoSDA-ML (Qin et al. 2020, arXiv 2006.06402). The word is looked up in lower case.

It differs from the published code: a language without its file is an error, there it goes missing in silence; all of an answer
stays as it is, there its boundaries alone; a word of a tagged sentence is replaced by single words only; the source language
may be another than English; `lookup: folded` finds words with punctuation attached and gives them their capitals back.

Options: `dictionaries`, a folder of `en-xx.txt`; `languages`, null for all that it has; `probability`; `lookup`; `source`;
`copies` and `max_length` as in substitution.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from xdist.errors import UserError, unknown
from xdist.robust.rewriting import Draws, WordRewriter
from xdist.robust.word_lists import Lookup, look_up, read_dictionary
from xdist.robust.words import CACHED, Words
from xdist.tasks.rewritten import Word


class CodeSwitch(WordRewriter):
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
        source: str = "en",
        copies: int | None = None,
        max_length: int | None = None,
    ) -> None:
        super().__init__(tokenizer, seed, stream, max_length=max_length, copies=copies)
        self.probability, self.lookup, self.source = probability, lookup, source
        there = {path.stem.removeprefix(f"{source}-"): path for path in sorted(dictionaries.glob(f"{source}-*.txt"))}
        for language in languages or ():
            if language not in there:
                raise UserError(f"{dictionaries}/{source}-{language}.txt: no such file; {unknown('language', language, there)}")
        if not there:
            raise UserError(f"{dictionaries}: no dictionary {source}-xx.txt in this folder")
        self.dictionaries = [read_dictionary(there[language]) for language in languages or there]
        self.found = lru_cache(CACHED)(self._found)

    def replacements(
        self, pieces: Sequence[Word], words: Words, draws: Draws, language: str, one: bool
    ) -> Iterator[tuple[int, Word]] | None:
        return self._drawn(pieces, words, draws, one) if language == self.source else None

    def produces(self, ids: np.ndarray) -> np.ndarray | None:
        if self.lookup == "folded":
            return None  # translations in the word's capitals, its punctuation round them
        lists = self.dictionaries
        return np.union1d(ids, self.spelled(word for words in lists for found in words.values() for word in found))

    def _drawn(self, pieces: Sequence[Word], words: Words, draws: Draws, one: bool) -> Iterator[tuple[int, Word]]:
        switch, language, translation = draws(words.index, np.arange(3)[:, None])
        for word in np.flatnonzero(words.free & (switch < self.probability)).tolist():
            found = self.found(int(language[word] * len(self.dictionaries)), one, pieces[word])
            if found:
                yield word, found[int(translation[word] * len(found))]

    def _found(self, number: int, one: bool, word: Word) -> list[Word]:
        """The tokens of each translation that the vocabulary can spell."""
        found = look_up(self.vocabulary.text(word), self.dictionaries[number], self.lookup)
        spelled = (self.vocabulary.encode(other, one) for other in found)
        return [ids for ids in spelled if ids is not None]
