"""Which tokens a language model has to find: drawn again each epoch, by a counter, for each row separately.

15 % of the tokens are chosen, special ones never; of these 80 % become the mask token, 10 % another piece, 10 % stay (BERT,
arXiv 1810.04805). The draw depends on (seed, row, epoch, position) alone: not on rank, world size, batch or step.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from xdist.data.permutation import key_of, mix
from xdist.errors import UserError
from xdist.tasks.batch import Batch
from xdist.tasks.mlm import LABEL, MASKED

RATE, TO_MASK, TO_RANDOM = 0.15, 0.8, 0.1
# Numbers drawn per token: is it chosen, what becomes of it, which piece.
CHOSEN, FATE, PIECE = range(3)


class Masking:
    """`among`: the sorted ids that occur in the texts, special ones with them, where the loss is taken over these alone: then
    labels are their numbers among these, and these alone take another's place; None: over all ids, which labels are."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, seed: int, rate: float = RATE, among: np.ndarray | None = None
    ) -> None:
        if tokenizer.mask_token_id is None:
            raise UserError("the tokenizer has no mask token: masked language modelling needs one")
        self.mask: int = tokenizer.mask_token_id
        self.seed, self.rate = seed, rate
        self.special = np.array(sorted(tokenizer.all_special_ids))
        self.among = among
        known = np.array(sorted(tokenizer.get_vocab().values())) if among is None else among
        self.pieces = np.setdiff1d(known, self.special)

    def __call__(self, batch: Batch, epochs: Sequence[int], rate: float | None = None) -> Batch:
        """`batch` (on the CPU) with masked tokens, their positions and what they were; `epochs` (R,) says how often each
        row was visited before, `rate` which share of the tokens is chosen, if not as ever. Every row that has anything to mask
        has at least one masked token."""
        tokens, row = batch.tokens.numpy(), batch.token_row.numpy()
        keys = np.array([key_of(self.seed, epoch) for epoch in epochs], np.uint64)
        # SplitMix64's step as a factor, so that neighbouring rows have counters that are far apart.
        keys = mix(batch.row_ids.numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + keys)
        # Three counters a position, one for each number that is drawn there (CHOSEN, FATE, PIECE).
        places = batch.row_positions.numpy().astype(np.uint64) * np.uint64(3)
        draws = [_unit(keys[row] + places + np.uint64(number)) for number in (CHOSEN, FATE, PIECE)]

        ordinary = ~np.isin(tokens, self.special)
        lot = np.where(ordinary, draws[CHOSEN], np.inf)
        least = np.full(len(batch.row_ids), np.inf)
        np.minimum.at(least, row, lot)
        masked = np.flatnonzero(ordinary & ((lot < (rate or self.rate)) | (lot == least[row])))

        fate = draws[FATE][masked]
        pieces = self.pieces[(draws[PIECE][masked] * len(self.pieces)).astype(np.int64)]
        shown = tokens.copy()
        shown[masked] = np.where(fate < TO_MASK, self.mask, np.where(fate < TO_MASK + TO_RANDOM, pieces, tokens[masked]))
        labels = tokens[masked] if self.among is None else np.searchsorted(self.among, tokens[masked])
        targets = {**batch.targets, MASKED: torch.from_numpy(masked), LABEL: torch.from_numpy(labels)}
        return replace(batch, tokens=torch.from_numpy(shown), targets=targets)


def _unit(keys: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) from counters."""
    # The upper 53 bits, as many as a float64 holds exactly.
    return (mix(mix(keys + np.uint64(0x9E3779B97F4A7C15))) >> np.uint64(11)).astype(np.float64) / (1 << 53)
