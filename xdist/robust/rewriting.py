"""Perturbation of words: what every method that changes a row's text has in common.

A rewriting is a function of the row, and its draws of (seed, stream of the method, row, turn) and the word's number in the row:
never of rank or batch. The turn is the epoch, or with `copies: m` the epoch modulo m, so that every row has m fixed
copies. A replacement that would make a sequence longer than it may be is not made, so no row loses its end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from xdist.config.method import Method
from xdist.data.permutation import key_of, mix
from xdist.robust.words import WordPieces, Words
from xdist.tasks.rewritten import WordIds, rewritten

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from xdist.data.batches import Rewriter
    from xdist.tasks.family import Family, Row


def rewriters(
    methods: Sequence[Method], tokenizer: PreTrainedTokenizerBase, seed: int, max_length: int | None
) -> list[Rewriter]:
    """Those of the methods that put rows into other words, in their order. Raises UserError for a word list that is not one."""
    return [
        method.rewriter(tokenizer, seed=seed, stream=stream, max_length=max_length)
        for stream, method in enumerate(methods)
        if method.rewrites and not method.idle
    ]


class WordDraws:
    """Random numbers in [0, 1) of a row, by word and number of the draw."""

    def __init__(self, *key: int) -> None:
        self._key = np.uint64(key_of(*key))

    def __call__(self, index: np.ndarray | int, draw: np.ndarray | int) -> np.ndarray:
        """For word `index` draw number `draw`, broadcast."""
        # Odd factors keep numbers apart modulo 2^64: SplitMix64's step, and a multiplier of Steele and Vigna (2021).
        words = mix(self._key + np.atleast_1d(index).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        bits = mix(words + (np.atleast_1d(draw).astype(np.uint64) + np.uint64(1)) * np.uint64(0xD1342543DE82EF95))
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53  # as many bits as a float64 holds exactly


class WordRewriter(ABC):
    """A rewriter (`xdist.data.batches.Rewriter`) that replaces words one by one; a method says which by which."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        seed: int,
        stream: int,
        *,
        max_length: int | None = None,
        copies: int | None = None,
    ) -> None:
        """`max_length`: tokens of a sequence, None: the task's own; `copies`: None for new draws in every epoch."""
        self.vocabulary = WordPieces(tokenizer)
        self.seed, self.stream = seed, stream
        self.max_length, self.copies = max_length, copies

    @abstractmethod
    def replacements(
        self, pieces: Sequence[WordIds], words: Words, draws: WordDraws, language: str, one: bool
    ) -> Iterable[tuple[int, WordIds]] | None:
        """(word, its new tokens) for the words of a row that are free and drawn, in order; `pieces` are the tokens of each.
        None where the method knows nothing of this language. With `one` a word is replaced by a single word."""

    def produces(self, ids: np.ndarray) -> np.ndarray | None:
        """As in `xdist.data.batches.Rewriter`; a method that knows it overrides it."""
        return None

    def rewrite(self, row: Row, family: Family, language: str, row_id: int, epoch: int) -> Row:
        words = self.vocabulary.words(row, family)
        tokens, lengths = np.asarray(row["tokens"]).tolist(), np.asarray(row["lengths"]).tolist()
        spans = list(zip(words.low.tolist(), words.high.tolist(), strict=True))
        pieces = [tuple(tokens[first:last]) for first, last in spans]
        turn = epoch if self.copies is None else epoch % self.copies
        drawn = self.replacements(pieces, words, WordDraws(self.seed, self.stream, row_id, turn), language, family.one_for_one)
        if drawn is None:
            return row
        limits = family.limits(row, self.max_length or family.task.max_length)
        room = [max(limit - length, 0) for limit, length in zip(limits, lengths, strict=True)]
        ends = list(accumulate(lengths))
        new: dict[int, WordIds] = {}
        too_long = 0
        for word, ids in drawn:
            if ids == pieces[word]:
                continue
            sequence = bisect_right(ends, spans[word][0])
            growth = len(ids) - len(pieces[word])
            if growth > room[sequence]:
                too_long += 1
                continue
            room[sequence] -= growth
            new[word] = ids
        counts = {"words_seen": int(words.free.sum()), "words_changed": len(new), "words_too_long": too_long}
        row = {**row, **{name: row.get(name, 0) + count for name, count in counts.items()}}
        if not new:
            return row
        after = rewritten(tokens, lengths, spans, new)
        row = family.moved(row, after)
        if "shared" in row:  # (n, 2) positions in the plain row and here
            shared = row["shared"][after.shared[row["shared"][:, 1]]]
            row["shared"] = np.stack([shared[:, 0], after.places[shared[:, 1]]], axis=1)
        return row
