"""The passes of a chain on a bare model, without an engine: the training step in a few lines."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from xdist.config.robust import Method
from xdist.model.model import Model
from xdist.robust import Context, Pass, Statistics, chain
from xdist.tasks.batch import Batch

SPECIAL = torch.tensor([0, 1, 2, 3])


def context_of(model: Model, batch: Batch, step: int = 4) -> Context:
    statistics = Statistics(torch.device("cpu"))
    return Context(batch, step, model.families[batch.head], model.embedding, model, statistics)


def passes_of(model: Model, methods: Sequence[Method], context: Context, seed: int = 1) -> Iterator[Pass]:
    return chain(methods, seed, SPECIAL).passes(context)


def trained(model: Model, methods: Sequence[Method], context: Context) -> Tensor:
    """Run forward and backward of every pass; the sum of their losses."""
    total = torch.zeros(())
    for one in passes_of(model, methods, context):
        loss, _ = one.loss(model(*one.views), context.family)
        loss.backward()
        total = total + loss.detach()
    return total


