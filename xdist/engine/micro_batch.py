"""How many tokens a GPU takes in one forward pass, where that is left open: as many as the model of memory lets, half of them
where trying says otherwise. The rows of a step, and its loss, are the same for any number."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from xdist.estimate.memory import Setting, memory
from xdist.estimate.recommend import LARGEST, SMALLEST, usable
from xdist.estimate.shapes import Shape
from xdist.run import distributed
from xdist.run.lacking import is_out_of_memory

ON_CPU = 8192
FEWEST = 16


def largest_fitting(shape: Shape, setting_of: Callable[[int], Setting], capacity: float) -> int:
    """The tokens of a micro-batch that fit a device of `capacity` bytes, from `LARGEST` down by halves; `SMALLEST` where fewer
    would be needed, since then something else has to give."""
    tokens = LARGEST
    while tokens > SMALLEST and memory(shape, setting_of(tokens)).total > usable(capacity):
        tokens //= 2
    return tokens


def fewest_of_ranks(tokens: int) -> int:
    """The fewest of what any rank can take. Collective."""
    return min(distributed.every(tokens))


def exceeds_memory(losses: Callable[[], Iterable[Tensor]], trained: Sequence[Tensor]) -> bool:
    """Whether a forward and backward pass of `losses` runs out of memory on any rank: the same on all. What it computes is
    dropped, and no parameter gets a gradient. Collective, except for the passes themselves, which need no other rank."""
    short = False
    try:
        for loss in losses():
            torch.autograd.grad(loss, trained, allow_unused=True)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        short = True
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return distributed.sum_over_ranks([float(short)])[0] > 0
