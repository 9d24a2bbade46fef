"""A batch without padding: all tokens of its sequences in one line, and where each sequence begins.

Shapes, here and everywhere: T tokens, S sequences, R rows, d width of the encoder, L longest sequence. A row is what the
plan draws; it holds one sequence, or several (the options of a multiple choice).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from xdist.config.robust import Place
from xdist.tasks.packing import Packing


class WordCounts(NamedTuple):
    """Words of a batch's rows that a rewriting could have changed, that it changed, and that it kept for want of room; where
    several rewrite a row, summed over them."""

    seen: int = 0
    changed: int = 0
    too_long: int = 0


NO_WORDS = WordCounts()


@dataclass(eq=False)
class Batch:
    head: str
    tokens: Tensor  # (T,) piece ids
    lengths: Tensor  # (S,) tokens per sequence
    sequence_row: Tensor  # (S,) which row of the batch a sequence belongs to
    row_ids: Tensor  # (R,) identity of each row in the run: noise and predictions are keyed by it
    targets: dict[str, Tensor] = field(default_factory=dict)
    # Used on a rank that has no rows left, so that all ranks make the same collective calls; its loss counts nothing.
    dummy: bool = False
    words: WordCounts = NO_WORDS
    # The language of each row, where its model needs it.
    languages: tuple[str, ...] | None = None
    # The same rows before their words were rewritten, where a loss compares the two.
    plain: "Batch | None" = None

    @cached_property
    def starts(self) -> Tensor:
        """(S,) position in `tokens` of the first token of each sequence."""
        return torch.cumsum(self.lengths, 0) - self.lengths

    @cached_property
    def token_sequence(self) -> Tensor:
        """(T,) which sequence a token belongs to."""
        return torch.repeat_interleave(self.lengths, output_size=len(self.tokens))

    @cached_property
    def token_row(self) -> Tensor:
        """(T,) which row of the batch a token belongs to."""
        return self.sequence_row[self.token_sequence]

    @cached_property
    def positions(self) -> Tensor:
        """(T,) position of each token in its sequence, from 0."""
        return torch.arange(len(self.tokens), device=self.tokens.device) - self.starts[self.token_sequence]

    @cached_property
    def row_positions(self) -> Tensor:
        """(T,) position of each token among the tokens of its row, from 0."""
        tokens_of_row = torch.zeros(len(self.row_ids), dtype=torch.long, device=self.tokens.device)
        tokens_of_row.index_add_(0, self.sequence_row, self.lengths)
        row_start = torch.cumsum(tokens_of_row, 0) - tokens_of_row
        return torch.arange(len(self.tokens), device=self.tokens.device) - row_start[self.token_row]

    @cached_property
    def host_lengths(self) -> list[int]:
        """`lengths` as numbers; a batch that moves takes them along, so that nothing waits for the device to return them."""
        return self.lengths.tolist()

    @cached_property
    def width(self) -> int:
        return max(self.host_lengths)

    @cached_property
    def packing(self) -> Packing:
        """The layouts that attention without padding needs."""
        return Packing(self.host_lengths, self.tokens.device)

    @cached_property
    def padded_index(self) -> Tensor:
        """(T,) place of each token in the padded (S, L) layout, flattened."""
        return self.token_sequence * self.width + self.positions

    def padded(self, pad: int) -> tuple[Tensor, Tensor]:
        """Piece ids and attention mask, both (S, L)."""
        return self.in_rectangle(self.tokens, pad), self._real.long()

    def in_rectangle(self, values: Tensor, filler: int) -> Tensor:
        """(S, L) of `values` (T,), one for each token, with `filler` where there is none."""
        return values.new_full(self._real.shape, filler).masked_scatter_(self._real, values)

    @cached_property
    def _real(self) -> Tensor:
        """(S, L) bool: which places of the padded layout hold a token."""
        return torch.arange(self.width, device=self.tokens.device) < self.lengths[:, None]

    def of_tokens(self, states: Tensor) -> Tensor:
        """(T, n) states of the tokens, from one row (1, T, n) or the padded layout (S, L, n); without padding they are one."""
        flat = states.flatten(0, -2)
        return flat if len(flat) == len(self.tokens) else flat[self.padded_index]

    def to(self, device: torch.device | str) -> "Batch":
        if self.tokens.device == torch.device(device):
            return self
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def made_for(self, device: torch.device, packed: bool) -> "Batch":
        """The batch, on the CPU, with all that its way to `device` and its layout there take: for a GPU in memory from which it
        copies while the program continues. `packed`: whether attention goes without padding."""
        pinned = device.type == "cuda"
        made = self._each(Tensor.pin_memory) if pinned else self
        for batch in filter(None, (made, made.plain)):
            _ = batch.host_lengths
            if packed:
                batch.packing = Packing(batch.host_lengths, device, pinned).make()
        return made

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed = replace(
            self,
            tokens=change(self.tokens),
            lengths=change(self.lengths),
            sequence_row=change(self.sequence_row),
            row_ids=change(self.row_ids),
            targets={name: change(value) for name, value in self.targets.items()},
            plain=self.plain and self.plain._each(change),
        )
        changed.host_lengths = self.host_lengths
        if "packing" in self.__dict__ and self.packing.device == changed.tokens.device:
            changed.packing = self.packing
        return changed


# From the weights (R, branches) that branches of an encoder have in the states of each row to those that they are to have.
Mixture = Callable[[Tensor], Tensor]
PLACES: tuple[Place, ...] = ("input", "embedding", "last")


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """What is added to the states of a batch's tokens at one place of the model: to the input embeddings, to the output of
    the embedding layer, or to the hidden states that the head reads."""

    place: Place
    # (T, d) fp32 in the order of `batch.tokens`, or what makes it from the states that it is added to, (T, d) fp32 detached
    delta: Tensor | Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A batch as the model sees it once: without shifts, or with one shift after another; each row by the branch of its
    language, where the encoder has branches, or by a mixture of them."""

    batch: Batch
    shifts: tuple[Shift, ...] = ()
    mixture: Mixture | None = None

    def shifted(self, place: Place, delta: Tensor | Callable[[Tensor], Tensor]) -> "View":
        return replace(self, shifts=(*self.shifts, Shift(place, delta)))

    @property
    def perturbed(self) -> bool:
        return bool(self.shifts) or self.mixture is not None or self.batch.plain is not None
