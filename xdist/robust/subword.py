"""Sub-word regularisation: words cut into other pieces.

    with probability p a word is segmented anew; P(segmentation) ~ exp(alpha * log-probability), over all or the l best

Kudo 2018 (arXiv 1804.10959), as xTune has it (Zheng et al. 2021, arXiv 2106.08226: alpha 0.3, the whole lattice, p = 0.5 for
UD-POS and 0.3 elsewhere). Alpha to infinity gives the tokenizer's own segmentation, 0 all of them alike. The answer to a
question stays as it is; a tagged word's tag stays with its first piece.

It differs from SentencePiece in that its draws depend on (seed, row, epoch, word) alone, and that the tokenizer's scores are
taken as they are; its n-best list and its lattice give the same probabilities. The vocabulary must be a unigram one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from tokenizers.models import Unigram

from xdist.config.method import Method, register
from xdist.errors import UserError
from xdist.robust.lattice import BestSampler, Lattice, Sampler
from xdist.robust.rewriting import WordDraws, WordRewriter
from xdist.robust.words import WORD_START, Words
from xdist.tasks.rewritten import WordIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REMEMBERED = 1 << 14  # words whose lattices are kept


class Subword(Method):
    """Words cut into other pieces."""

    earlier: ClassVar = {"p": "probability"}

    method: Literal["subword"] = "subword"
    probability: float = Field(0.3, ge=0, le=1, description="that a word is segmented anew")
    alpha: float = Field(0.3, ge=0, description="of SentencePiece: 0 draws all segmentations alike")
    nbest: int = Field(-1, ge=-1, description="segmentations to draw from; -1: all")

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
        if not isinstance(tokenizer.backend_tokenizer.model, Unigram):
            kind = type(tokenizer.backend_tokenizer.model).__name__
            raise UserError(f"{tokenizer.name_or_path}: sub-word sampling needs a Unigram vocabulary, this one is {kind}")
        super().__init__(tokenizer, seed, stream, max_length=max_length, copies=copies)
        self.probability, self.alpha, self.nbest = probability, alpha, nbest
        vocabulary = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]
        special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        self.pieces = {piece: (number, score) for number, (piece, score) in enumerate(vocabulary) if number not in special}
        self.longest = max(map(len, self.pieces))
        self.sampler = lru_cache(REMEMBERED)(self._sampler)

    def replacements(
        self, pieces: Sequence[WordIds], words: Words, draws: WordDraws, language: str, one: bool
    ) -> Iterator[tuple[int, WordIds]]:
        chosen = words.free & (draws(words.index, 0) < self.probability)
        for word in np.flatnonzero(chosen).tolist():
            text = WORD_START + self.vocabulary.text(pieces[word]).replace(" ", WORD_START)
            yield word, self.sampler(text)(draws(int(words.index[word]), 1 + np.arange(len(text))).tolist())

    def produces(self, ids: np.ndarray) -> np.ndarray:
        """Every piece of the characters that the pieces of `ids` are written with."""
        here = set(ids.tolist())
        characters = {WORD_START}.union(*(piece for piece, (number, _) in self.pieces.items() if number in here))
        return np.union1d(ids, [number for piece, (number, _) in self.pieces.items() if characters.issuperset(piece)])

    def _sampler(self, word: str) -> Sampler | BestSampler:
        lattice = Lattice.of(word, self.pieces, self.longest)
        return Sampler(lattice, self.alpha) if self.nbest < 0 else BestSampler(lattice, self.alpha, self.nbest)


register(Subword)
