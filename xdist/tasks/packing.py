"""How the sequences of a batch are in one row, and how those of similar length are grouped where attention needs a rectangle.

Attention is the only part of an encoder that asks which tokens belong together. Kernels that know sequences by their bounds
take `bounds`; others take buckets: the sequences sorted by length, padded to the longest of their bucket, one after another.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

# What a bucket costs for its calls, and a place for being copied in and out, in pairs of tokens that attend to each other:
# measured on a CPU with 12 heads of 32 (0.07 us a pair forward and backward, 0.2 ms a call); reckoned for a GPU, where the
# pairs of a bucket are done at once.
CALL = {"cpu": 2_500, "cuda": 500_000}
PLACE = 32


@dataclass(frozen=True, slots=True)
class Bucket:
    """`sequences` sequences in a rectangle of `length` places each."""

    sequences: int
    length: int
    # (sequences, 1, 1, length) whether a place holds a token; None where all do.
    mask: Tensor | None


class Packing:
    """Layouts of sequences of `lengths` tokens, in this order in one row of T tokens; tensors on `device`. They are made on the
    CPU, `pinned` in memory from which a GPU copies while the program continues; `make` does it before they are requested."""

    def __init__(self, lengths: Sequence[int], device: torch.device, pinned: bool = False) -> None:
        self.lengths, self.device, self._pinned = np.asarray(lengths, np.int64), device, pinned
        self._masks: dict[int | None, list[Tensor | None]] = {}  # the same in every layer of a kind

    def make(self) -> "Packing":
        _ = self._bounds, self._arrays, self._places_held
        return self

    @cached_property
    def bounds(self) -> Tensor:
        """(S + 1,) int32: where each sequence begins, and T."""
        return self._sent(self._bounds)

    @cached_property
    def longest(self) -> int:
        return int(self.lengths.max())

    @cached_property
    def places(self) -> int:
        """P: places of all buckets, with and without a token."""
        return sum(count * length for count, length in self._cut)

    @cached_property
    def buckets(self) -> list[Bucket]:
        return [
            Bucket(count, length, None if mask is None else self._sent(mask))
            for (count, length), mask in zip(self._cut, self._places_held, strict=True)
        ]

    def masks(self, window: int | None) -> list[Tensor | None]:
        """Of each bucket which places see which, to broadcast over (sequences, heads, length, length); None where all see all.
        Within a sequence places i and j see each other where abs(i - j) < `window`, None: always."""
        if window not in self._masks:
            self._masks[window] = [_mask(bucket, window, self.device) for bucket in self.buckets]
        return self._masks[window]

    @cached_property
    def source(self) -> Tensor:
        """(P,) which token is in each place; the first of its sequence where none belongs there."""
        return self._sent(self._arrays[0])

    @cached_property
    def place(self) -> Tensor:
        """(T,) the position of each token."""
        return self._sent(self._arrays[1])

    @cached_property
    def empty(self) -> Tensor:
        """(P - T,) the places without a token."""
        return self._sent(self._arrays[2])

    @cached_property
    def in_order(self) -> bool:
        """Whether the buckets hold the tokens as they are in the row, so that nothing need be moved."""
        source, _, empty = self._layout
        return not len(empty) and bool((source[1:] > source[:-1]).all())

    def _sent(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)

    def _held(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self._pinned else tensor

    @cached_property
    def _bounds(self) -> Tensor:
        return self._held(torch.from_numpy(np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)))

    @cached_property
    def _arrays(self) -> list[Tensor]:
        return [self._held(torch.from_numpy(array)) for array in self._layout]

    @cached_property
    def _places_held(self) -> list[Tensor | None]:
        """The mask of each bucket."""
        masks: list[Tensor | None] = []
        first = 0
        for count, length in self._cut:
            lengths = torch.from_numpy(self._sorted[first : first + count])
            mask = torch.arange(length) < lengths[:, None]
            masks.append(None if mask.all() else self._held(mask[:, None, None]))
            first += count
        return masks

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(-self.lengths, kind="stable")

    @cached_property
    def _sorted(self) -> np.ndarray:
        ordered: np.ndarray = self.lengths[self._order]
        return ordered

    @cached_property
    def _cut(self) -> list[tuple[int, int]]:
        """(sequences, length) of each bucket, longest first."""
        return cut(self.lengths, CALL.get(self.device.type, CALL["cuda"]))

    @cached_property
    def _layout(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        starts = (np.cumsum(self.lengths) - self.lengths)[self._order]
        widths = np.repeat([length for _, length in self._cut], [count for count, _ in self._cut])
        first = np.cumsum(widths) - widths
        sequence = np.repeat(np.arange(len(widths)), widths)
        position = np.arange(len(sequence)) - first[sequence]
        filled = position < self._sorted[sequence]
        source = starts[sequence] + np.where(filled, position, 0)
        place = np.empty(int(self.lengths.sum()), np.int64)
        place[source[filled]] = np.flatnonzero(filled)
        return source, place, np.flatnonzero(~filled)


def _mask(bucket: Bucket, window: int | None, device: torch.device) -> Tensor | None:
    if window is None or bucket.length <= window:
        return bucket.mask
    places = torch.arange(bucket.length, device=device)
    near = (places[:, None] - places).abs() < window
    if bucket.mask is None:
        return near[None, None]
    # A place without a token sees itself, else it would see nothing where no token is near, and give gradients that are no
    # numbers; tokens do not see it.
    return bucket.mask & near | torch.eye(bucket.length, dtype=torch.bool, device=device)


def cut(lengths: Sequence[int] | np.ndarray, call: int) -> list[tuple[int, int]]:
    """The buckets (sequences, length), longest first, into which sequences of `lengths` tokens are best sorted: those whose
    pairs of places, places and calls cost the least together. One bucket for all is among the choices."""
    counted = sorted(Counter(np.asarray(lengths).tolist()).items(), reverse=True)
    length = np.array([length for length, _ in counted], float)
    upto = np.concatenate([[0], np.cumsum([count for _, count in counted])])
    each = length * length + PLACE * length  # of one sequence in a bucket whose longest this is
    # By dynamic programming over the distinct lengths, longest first: best[end] is the least cost of the first `end` of them,
    # and begin[end] where the last bucket of that choice begins, so that the way back gives the buckets.
    best, begin = np.zeros(len(counted) + 1), np.zeros(len(counted) + 1, np.int64)
    for end in range(1, len(counted) + 1):
        costs = best[:end] + call + each[:end] * (upto[end] - upto[:end])
        begin[end] = int(np.argmin(costs))
        best[end] = costs[begin[end]]
    buckets, end = [], len(counted)
    while end:
        buckets.append((int(upto[end] - upto[begin[end]]), int(length[begin[end]])))
        end = int(begin[end])
    return buckets[::-1]
