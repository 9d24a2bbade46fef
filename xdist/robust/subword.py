"""Sub-word regularisation: words cut into other pieces.

    with probability p a word is segmented again; P(segmentation) ~ exp(alpha * log-probability), over all or the l best

Kudo 2018 (arXiv 1804.10959), as xTune has it (Zheng et al. 2021, arXiv 2106.08226: alpha 0.3, the complete lattice, p = 0.5 for
UD-POS and 0.3 elsewhere). Alpha to infinity gives the tokenizer's own segmentation, 0 all of them with equal probability. The
answer to a question stays as it is; a tagged word's tag stays with its first piece.

It differs from SentencePiece in that its draws depend on (seed, row, epoch, word) alone, and that the tokenizer's scores are
taken as they are; its n-best list and its lattice give the same probabilities.

Words of a BPE vocabulary are cut by BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267), alpha being the probability that a
merge is left out, as in SentencePiece: there 0.1, in every word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from tokenizers.models import BPE, Unigram

from xdist.config.method import Method, register
from xdist.errors import UserError
from xdist.robust.bpe import Merges, describe_tokenizer
from xdist.robust.lattice import BestSampler, Lattice, Sampler
from xdist.robust.rewriting import WordDraws, WordRewriter
from xdist.robust.words import WORD_START, WordPieces, Words
from xdist.tasks.rewritten import WordIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REMEMBERED = 1 << 14  # words whose lattices are kept


class Subword(Method):
    """Words cut into other pieces."""

    earlier: ClassVar = {"p": "probability"}

    method: Literal["subword"] = "subword"
    probability: float = Field(0.3, ge=0, le=1, description="that a word is segmented again")
    alpha: float = Field(
        0.3,
        ge=0,
        le=1000,
        description="of SentencePiece: 0 draws all segmentations with equal probability; of BPE: the "
        "probability that a merge is skipped, at most 1",
    )
    nbest: int = Field(-1, ge=-1, le=1_000_000, description="segmentations to draw from; -1: all")

    @property
    def idle(self) -> bool:
        return not self.probability

    def rewriter(self, tokenizer: PreTrainedTokenizerBase, **draws: Any) -> Segmenter:
        return Segmenter(tokenizer, probability=self.probability, alpha=self.alpha, nbest=self.nbest, **draws)


class Segmenter(WordRewriter):
    """Options as in `Subword` and `WordRewriter`."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        seed: int,
        stream: int,
        probability: float = 0.3,
        alpha: float = 0.3,
        nbest: int = -1,
        copies: int | None = None,
        max_length: int | None = None,
    ) -> None:
        super().__init__(tokenizer, seed, stream, max_length=max_length, copies=copies)
        self.probability = probability
        if isinstance(tokenizer.backend_tokenizer.model, Unigram):
            self.cutter: UnigramCutter | BpeCutter = UnigramCutter(tokenizer, alpha, nbest)
        elif isinstance(tokenizer.backend_tokenizer.model, BPE):
            self.cutter = BpeCutter(tokenizer, self.vocabulary, alpha, nbest)
        else:
            kind = type(tokenizer.backend_tokenizer.model).__name__
            raise UserError(
                f"{tokenizer.name_or_path}: sub-word sampling needs a Unigram or BPE vocabulary, this one is {kind}"
            )

    def replacements(
        self, pieces: Sequence[WordIds], words: Words, draws: WordDraws, language: str, one: bool
    ) -> Iterator[tuple[int, WordIds]]:
        chosen = words.free & (draws(words.index, 0) < self.probability)
        for word in np.flatnonzero(chosen).tolist():
            index = int(words.index[word])
            text, blank = self.vocabulary.text(pieces[word]), self.vocabulary.after_blank(pieces[word])
            new = self.cutter(text, blank, partial(_further_numbers, draws, index))
            if new is not None:
                yield word, new

    def produces(self, ids: np.ndarray) -> np.ndarray:
        """Every piece of the characters that the pieces of `ids` are written with."""
        return np.union1d(ids, self.cutter.producible(set(ids.tolist())))


def _further_numbers(draws: WordDraws, word: int, count: int) -> list[float]:
    """Numbers of a word, after the one by which it was chosen."""
    numbers: list[float] = draws(word, 1 + np.arange(count)).tolist()
    return numbers


class UnigramCutter:
    """Words cut by draws from the lattice of their segmentations."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, alpha: float, nbest: int) -> None:
        self.alpha, self.nbest = alpha, nbest
        vocabulary = describe_tokenizer(tokenizer)["model"]["vocab"]
        special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        self.pieces = {piece: (number, score) for number, (piece, score) in enumerate(vocabulary) if number not in special}
        self.longest = max(map(len, self.pieces))
        self.sampler = lru_cache(REMEMBERED)(self._sampler)

    def __call__(self, word: str, after_blank: bool, draws: Callable[[int], list[float]]) -> WordIds:
        text = WORD_START + word.replace(" ", WORD_START)
        return self.sampler(text)(draws(len(text)))

    def producible(self, ids: set[int]) -> list[int]:
        characters = {WORD_START}.union(*(piece for piece, (number, _) in self.pieces.items() if number in ids))
        return [number for piece, (number, _) in self.pieces.items() if characters.issuperset(piece)]

    def _sampler(self, word: str) -> Sampler | BestSampler:
        lattice = Lattice.of(word, self.pieces, self.longest)
        return Sampler(lattice, self.alpha) if self.nbest < 0 else BestSampler(lattice, self.alpha, self.nbest)


class BpeCutter:
    """Words cut by BPE-dropout, `alpha` being the share of merges that are left out, as in SentencePiece."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: WordPieces, alpha: float, nbest: int) -> None:
        if alpha > 1:
            raise UserError(f"{tokenizer.name_or_path}: alpha={alpha:g}: with BPE it is a probability, at most 1")
        if nbest != -1:
            raise UserError(f"{tokenizer.name_or_path}: nbest={nbest}: BPE has no n-best segmentations; leave nbest out")
        self.alpha, self.vocabulary, self.merges = alpha, vocabulary, Merges(tokenizer)

    def __call__(self, word: str, after_blank: bool, draws: Callable[[int], list[float]]) -> WordIds | None:
        parts = self.merges.parts(self.vocabulary.blank + word if after_blank else word)
        if parts is None:
            return None
        new = self.merges.cut(parts, self.alpha, draws(self.merges.draws(parts)))
        return new if self.vocabulary.after_blank(new) == after_blank else None

    def producible(self, ids: set[int]) -> list[int]:
        return self.merges.producible(ids)


register(Subword)
