"""What every perturbation is: a generator of the training passes that one micro-batch makes.

A plain step is one pass. A perturbation may look at the loss first (through `inner`, which trains nothing), then yields one
pass per forward and backward that shall train; a pass's delta is added to the input embeddings. When the generator is asked
for its next pass, the backward of the last one has run, so the gradient of a delta that asked for one is there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from xdist.tasks.batch import Batch

# The loss summed over the batch with the input embeddings shifted by delta (T, d); goes through the bare module.
Inner = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Pass:
    delta: Tensor | None = None  # (T, d) fp32, in the order of batch.tokens; None: unperturbed
    weight: float = 1.0  # share in the step's loss
    loss_before: Tensor | None = None  # summed loss before the perturbation was sought, where it was computed


class Perturbation(Protocol):
    def passes(self, inner: Inner, embedding: nn.Module, batch: Batch, step: int) -> Iterator[Pass]: ...


class Plain:
    """No perturbation."""

    def passes(self, inner: Inner, embedding: nn.Module, batch: Batch, step: int) -> Iterator[Pass]:
        yield Pass()


@contextmanager
def shifted(embedding: nn.Module, delta: Tensor | None, batch: Batch) -> Iterator[None]:
    """Add `delta` (T, d) to what the input embedding gives for the tokens of `batch`, in whatever layout it gives it."""
    if delta is None:
        yield
        return

    def add(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        flat = output.flatten(0, -2)
        return flat.index_add(0, batch.padded_index, delta.to(output.dtype)).view_as(output)

    handle = embedding.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
