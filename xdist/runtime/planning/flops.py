"""Work and traffic of training, by formula: a profiler does not see inner forward passes, and costs time.

A forward pass over one token takes 2 FLOPs for each parameter that multiplies it, 4 L d S for attention over S tokens, and
2 d V for a head over V pieces; the embedding is looked up. A backward pass takes twice that, towards the input alone once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from xdist.config import robust
from xdist.config.robust import Method
from xdist.runtime.planning.memory import Setting, trained
from xdist.runtime.planning.shapes import Shape

REWRITING = (robust.Substitution, robust.CodeSwitch, robust.Subword)


@dataclass(frozen=True, slots=True)
class Work:
    """What one micro-batch costs, in passes of the encoder: `trained` forward and backward, `looked` forward alone, `climbed`
    backward to the input. `views` are in memory together."""

    trained: float = 1.0
    looked: float = 0.0
    climbed: float = 0.0
    views: float = 1.0

    def forwards(self, checkpointing: bool) -> float:
        """Cost in forward passes; checkpointing makes every forward pass again that a backward pass follows."""
        again = (self.trained + self.climbed) * checkpointing
        return 3 * self.trained + self.looked + self.climbed + again


def work(methods: Sequence[Method]) -> Work:
    """What the methods of `robust` make of one plain pass, in the mean over steps."""
    rewritten = any(isinstance(method, REWRITING) for method in methods)
    clean, moved = (0.0, 1.0) if rewritten else (1.0, 0.0)  # passes, by what their encoder sees
    looked = climbed = 0.0
    for method in methods:
        passes = clean + moved
        match method:
            case robust.Adversarial(radius=radius, steps=steps, every=every) if radius and steps:
                looked += passes / every * (steps + (method.loss == "kl"))
                climbed += passes / every * steps
                kept = 1.0 if method.clean else 1 - 1 / every
                clean, moved = clean * kept, moved * kept + passes / every
            case robust.Free(radius=radius, steps=steps, every=every) if radius and steps:
                clean, moved = clean * (1 - 1 / every), moved * (1 - 1 / every) + passes * steps / every
            case robust.Random(radius=radius, place=place, draws=draws) if radius and place != "last":
                clean, moved = 0.0, passes * draws
            case robust.Consistency(weight=weight) if weight:
                moved, clean = (passes, 0.0) if len(methods) == 1 else (moved, clean)
                return Work(clean + 2 * moved, looked, climbed, 2.0 if moved else 1.0)
    return Work(clean + moved, looked, climbed)


def flops(shape: Shape, attended: float, head: float = 0.0) -> float:
    """Of a forward pass over one token that attends to `attended` tokens; `head` is the share of tokens whose states are
    multiplied by the whole embedding."""
    return 2 * shape.matrices + 4 * shape.layers * shape.width * attended + 2 * shape.embedding * head


def traffic(shape: Shape, setting: Setting, one: Work) -> float:
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
