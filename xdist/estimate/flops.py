"""Work and traffic of training, by formula: a profiler does not see inner forward passes, and costs time.

A forward pass over one token takes 2 FLOPs for each parameter that multiplies it, 4 L d S for attention over S tokens, and
2 d V for a head over V pieces; the embedding is looked up. A backward pass takes twice that, towards the input alone once.
"""

from collections.abc import Sequence

from xdist.config.method import Method, StepCost
from xdist.estimate.memory import Setting, trained
from xdist.estimate.shapes import Shape


def work(methods: Sequence[Method]) -> StepCost:
    """What the methods of `robust` make of one plain pass, in the mean over steps."""
    rewritten = any(method.rewrites for method in methods)
    cost = StepCost(clean=0.0, moved=1.0) if rewritten else StepCost()
    for method in methods:
        if not method.idle:
            cost = method.cost(cost, alone=len(methods) == 1)
    return cost


def flops(shape: Shape, attended: float, head: float = 0.0) -> float:
    """Of a forward pass over one token that attends to `attended` tokens; `head` is the share of tokens whose states are
    multiplied by the whole embedding."""
    return 2 * shape.matrices + 4 * shape.layers * shape.width * attended + 2 * shape.embedding * head


def traffic(shape: Shape, setting: Setting, one: StepCost) -> float:
    """Bytes that a rank sends in one optimizer step."""
    if setting.ranks == 1:
        return 0.0
    count, size, micro = trained(shape, setting.trained_rows), setting.size, setting.micro_batches
    crossing = (setting.ranks - 1) / setting.ranks
    if setting.stage == 3:
        # Weights come together for every forward and every backward pass; gradients leave in parts.
        gathers = 2 * one.trained + one.looked + one.climbed + (one.trained + one.climbed) * setting.checkpointing
        return crossing * micro * size * (gathers * shape.parameters + one.trained * count)
    reduced = {0: size, 1: 4, 2: size * micro * one.trained}[setting.stage]
    return crossing * count * (2 * reduced + (size if setting.stage else 0))
