"""The passes of a chain on a bare model, without an engine: the training step in a few lines."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from xdist.config.method import Method
from xdist.model.model import Model
from xdist.robust.passes import Chain, Context, Pass
from xdist.robust.statistics import Statistics
from xdist.tasks.batch import Batch, View

SPECIAL = torch.tensor([0, 1, 2, 3])


def context_of(model: Model, batch: Batch, step: int = 4, steps: int = 10) -> Context:
    statistics = Statistics(torch.device("cpu"))
    return Context(batch, step, steps, 1, SPECIAL, model.families[batch.head], model.embedding, model, statistics)


def passes_of(methods: Sequence[Method], context: Context) -> Iterator[Pass]:
    return Chain(methods).passes(context)


def trained(model: Model, methods: Sequence[Method], context: Context) -> Tensor:
    """Run forward and backward of every pass; the sum of their losses."""
    total = torch.zeros(())
    for one in passes_of(methods, context):
        loss, _ = one.loss(model(*one.views), context.family)
        loss.backward()
        total = total + loss.detach()
    return total


class Slope:
    """Instead of a model and its family: the output is the shift itself, the loss is `slope` of it."""

    def __init__(self, slope: Callable[[Tensor], Tensor]) -> None:
        self.slope = slope

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return self.slope(outputs)


def shift_of(
    method: Method, slope: Callable[[Tensor], Tensor], embedding: nn.Module, batch: Batch, seed: int, step: int
) -> Tensor:
    """The shift that `method` ends with on a loss of given slope round the embeddings of `batch`."""

    def outputs(view: View) -> tuple[Tensor]:
        delta = view.shifts[-1].delta
        return (delta if isinstance(delta, Tensor) else delta(embedding(batch.tokens).detach().float()),)

    statistics = Statistics(torch.device("cpu"))
    context = Context(batch, step, step + 1, seed, SPECIAL, Slope(slope), embedding, outputs, statistics)  # type: ignore[arg-type]
    for one in passes_of([method], context):
        (delta,) = outputs(one.views[0])
        if delta.requires_grad:
            slope(delta).backward()
    return delta.detach()
