"""What every method of robust training is: a generator of the training passes that one micro-batch makes.

A pass is one forward and backward that trains. Methods form a chain that begins with the plain pass: each takes the passes of
the one before it and yields its own. It may look at the model first (through `Context.outputs`, which trains nothing). When a
generator has to give its next pass, the backward of the last one has run, so the gradient of a delta that requires one is
there. On every rank a step makes the same number of passes, views and inner forwards, which ZeRO-3 needs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from xdist.config.method import Method
from xdist.robust.divergence import symmetric_kl
from xdist.robust.noise import DRAWS
from xdist.robust.statistics import Statistics
from xdist.tasks.batch import Batch, View


class Objective(Protocol):
    """What is trained towards: in xdist a `Family`, whose methods these are. `outputs` are those of one view, as the model gave
    them."""

    def losses(self, outputs: Any, batch: Batch) -> Tensor: ...

    def loss(self, outputs: Any, batch: Batch) -> Tensor: ...

    def log_probabilities(self, outputs: Any, batch: Batch) -> Tensor: ...


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """Its loss: each view's loss of the task times its weight, and `consistency` times the mean symmetric KL divergence
    between the first view's predictions and those of each other."""

    views: tuple[View, ...]
    weights: tuple[float, ...] = (1.0,)
    consistency: float = 0.0
    stop_gradient: bool = False  # of that divergence, in its first argument
    # Summed loss where the perturbation began: of the clean input, or near it after a random start. None: not computed.
    loss_before: Tensor | None = None

    def scaled(self, share: float) -> "Pass":
        """The same pass with `share` of its weight."""
        weights = tuple(weight * share for weight in self.weights)
        return replace(self, weights=weights, consistency=self.consistency * share)

    def loss(self, outputs: Sequence[Any], family: Objective) -> tuple[Tensor, list[Tensor]]:
        """What the pass minimises, from the outputs of its views, and each view's detached losses of the task, one for each
        valid token or example."""
        parts = [
            family.losses(output if weight else output.detach(), view.batch)
            for view, weight, output in zip(self.views, self.weights, outputs, strict=True)
        ]
        loss: Tensor = sum(weight * part.sum() for weight, part in zip(self.weights, parts, strict=True) if weight)  # type: ignore[assignment]
        if self.consistency:
            first, *others = (family.log_probabilities(out, view.batch) for out, view in zip(outputs, self.views, strict=True))
            apart = [symmetric_kl(first, other, self.stop_gradient) for other in others]
            loss = loss + self.consistency / len(apart) * sum(apart)
        return loss, [part.detach() for part in parts]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a method may use in addition to the passes before it."""

    batch: Batch
    step: int  # from 0
    steps: int  # of the complete run
    seed: int
    special_ids: Tensor  # of the tokenizer
    family: Objective
    embedding: nn.Module  # the input embedding
    outputs: Callable[..., tuple[Any, ...]]  # of views, by the bare module
    statistics: Statistics
    methods: tuple[Method, ...] = ()  # of the run, in their order
    number: int = 0  # which of them this one is
    scale: float = 1.0  # see `slope`

    def key(self, draw: int = 0) -> tuple[int, int, int]:
        """(seed, step, number) of a draw of noise (noise.py, draws.py), of which a method has 2 ** 20 in a step."""
        return self.seed, self.step, self.number * DRAWS + draw

    def slope(self, loss: Tensor, of: Tensor) -> Tensor:
        """The gradient of `loss`, fp32. On its way through a model in fp16 it is scaled, so that it neither vanishes there nor,
        where training's does not either, becomes infinite."""
        (gradient,) = torch.autograd.grad(loss.float() * self.scale, of)
        return self.unscaled(gradient)

    def unscaled(self, gradient: Tensor) -> Tensor:
        """fp32, of one that the backward of a pass has left: in fp16 as large as the gradient of the loss, up to a factor of
        two and the weight of the pass."""
        return gradient.float() / self.scale


class Chain:
    """The methods of a run in their order; without any, or where all are idle, training is plain to the bit."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self.methods = tuple(methods)
        self.one_dropout = any(method.one_dropout for method in methods)
        self.compares = any(method.compares for method in methods)

    def passes(self, context: Context) -> Iterator[Pass]:
        """Those of a micro-batch; what the context says of methods is filled in here."""
        passes: Iterator[Pass] = iter((Pass((View(context.batch),)),))
        for number, method in enumerate(self.methods):
            if not method.idle:
                passes = method.passes(passes, replace(context, methods=self.methods, number=number))
        return passes
