"""Randomized smoothing with data augmentation (RS-DA): words replaced by synonyms.

    a word with k >= 1 synonyms becomes each of them, or stays, with probability 1 / (k + 1); all words independently

Huang et al. 2021 (arXiv 2104.08645; uclanlp/Robust-XLT), who draw from counter-fitted neighbours (Mrkšić et al. 2016), after
the certified defence of Ye et al. 2020 (arXiv 2005.14424).

Published is: m copies of each example instead of it, 10 for PAWS-X and 3 for XNLI, written once with an unseeded generator
(`copies: m`; each epoch here is one copy, so m epochs are one of theirs); `lookup: exact`, in which capitals and attached
punctuation prevent a match; English alone. Here draws are seeded, new in every epoch (`copies: null`) unless asked otherwise;
`lookup: folded` finds "Good," under "good" and gives its form back; any language may have a file; every family is served,
answers to questions staying as they are; words are those of the tokenizer's normalised text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from xdist.config.method import Method, register
from xdist.errors import UserError, unknown
from xdist.languages import LANGUAGES, code_among, find_language
from xdist.robust.rewriting import WordDraws, WordRewriter
from xdist.robust.word_lists import Lookup, look_up, read_synonyms
from xdist.robust.words import CACHED, Words
from xdist.tasks.rewritten import WordIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Substitution(Method):
    """Words replaced by synonyms."""

    method: Literal["substitution"] = "substitution"
    synonyms: Path | Annotated[dict[str, Path], Field(min_length=1)] = Field(
        description="JSON file {word: [synonyms]}, or such a file per language"
    )
    copies: int | None = Field(
        None, ge=1, le=1_000_000, description="number of fixed variants of each example; null: drawn again each time"
    )
    lookup: Literal["exact", "folded"] = Field("exact", description="folded: ignoring case and punctuation")
    second: bool = Field(True, description="false: the second text of a pair stays as it is")

    def files(self) -> list[Path]:
        by_code = _by_code(self.synonyms)
        return [by_code[language] for language in sorted(by_code)]

    def check(self) -> None:
        _read_lists(self.synonyms)

    def knows(self, language: str) -> bool:
        return code_among(tuple(_by_code(self.synonyms)), language) is not None

    def rewriter(self, tokenizer: PreTrainedTokenizerBase, **draws: Any) -> Substituter:
        return Substituter(tokenizer, self.synonyms, lookup=self.lookup, copies=self.copies, second=self.second, **draws)


def _by_code(synonyms: Path | Mapping[str, Path]) -> Mapping[str, Path]:
    return synonyms if isinstance(synonyms, Mapping) else {"en": synonyms}


def _read_lists(synonyms: Path | Mapping[str, Path]) -> dict[str, dict[str, tuple[str, ...]]]:
    """By language. Raises UserError for what is no language, and as `read_synonyms`."""
    files = _by_code(synonyms)
    for language in files:
        if find_language(language) is None:
            raise UserError(f"synonyms: {unknown('language', language, LANGUAGES)}")
    return {language: read_synonyms(path) for language, path in files.items()}


class Substituter(WordRewriter):
    """`synonyms`: one file of English, or a file per language; the rest as in `Substitution` and `WordRewriter`."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        synonyms: Path | Mapping[str, Path],
        *,
        seed: int,
        stream: int,
        lookup: Lookup = "exact",
        copies: int | None = None,
        second: bool = True,
        max_length: int | None = None,
    ) -> None:
        super().__init__(tokenizer, seed, stream, max_length=max_length, copies=copies)
        self.synonyms = _read_lists(synonyms)
        self.lookup: Lookup = lookup
        self.second = second
        self.spelled_synonyms = lru_cache(CACHED)(self._synonyms_of)

    def replacements(
        self, pieces: Sequence[WordIds], words: Words, draws: WordDraws, language: str, one: bool
    ) -> Iterator[tuple[int, WordIds]] | None:
        code = code_among(tuple(self.synonyms), language)
        return None if code is None else self._draw_words(pieces, words, draws, code, one)

    def produces(self, ids: np.ndarray) -> np.ndarray | None:
        if self.lookup == "folded":
            return None  # synonyms in the word's capitals, its punctuation round them
        lists = self.synonyms.values()
        return np.union1d(
            ids, self.vocabulary.ids_of_words(word for words in lists for synonyms in words.values() for word in synonyms)
        )

    def _draw_words(
        self, pieces: Sequence[WordIds], words: Words, draws: WordDraws, language: str, one: bool
    ) -> Iterator[tuple[int, WordIds]]:
        free = words.free if self.second else words.free & (words.text == 0)
        draw = draws(words.index, 0).tolist()
        for word in np.flatnonzero(free).tolist():
            synonyms = self.spelled_synonyms(language, one, pieces[word])
            choice = int(draw[word] * (len(synonyms) + 1))
            if choice:
                yield word, synonyms[choice - 1]

    def _synonyms_of(self, language: str, one: bool, word: WordIds) -> list[WordIds]:
        """The tokens of each synonym that the vocabulary can spell."""
        synonyms = look_up(self.vocabulary.text(word), self.synonyms[language], self.lookup)
        after_blank = self.vocabulary.after_blank(word)
        spelled = (self.vocabulary.encode(synonym, one, after_blank) for synonym in synonyms)
        return [ids for ids in spelled if ids is not None]


register(Substitution)
