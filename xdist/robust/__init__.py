"""Robust training: one small file per method, each a generator of training passes (passes.py) or a rewriter of text."""

from collections.abc import Sequence

from torch import Tensor

from xdist.config import robust as options
from xdist.robust.adversarial import Adversarial
from xdist.robust.consistency import Consistency
from xdist.robust.free import Free
from xdist.robust.passes import Chain, Context, Pass, Stage
from xdist.robust.random_noise import Random
from xdist.robust.statistics import Statistics

__all__ = ["Chain", "Context", "Pass", "Statistics", "chain"]

REWRITING = (options.Substitution, options.CodeSwitch, options.Subword)


def chain(methods: Sequence[options.Method], seed: int, special_ids: Tensor) -> Chain:
    """The passes that `methods` make; those that rewrite text do it before, where batches are made. A method that cannot move
    anything is left out, so that training is plain to the bit."""
    stages: list[Stage] = []
    rewritten = any(isinstance(method, REWRITING) for method in methods)
    for number, method in enumerate(methods):
        match method:
            case options.Adversarial(radius=radius, steps=steps) if radius and steps:
                stages.append(Adversarial(method, seed, special_ids, number))
            case options.Free(radius=radius, steps=steps) if radius and steps:
                stages.append(Free(method, seed, special_ids, number))
            case options.Random(radius=radius) if radius:
                stages.append(Random(method, seed, special_ids, number))
            case options.Consistency(weight=weight) if weight:
                alone = len(methods) == 1
                stages.append(Consistency(method, seed, special_ids, number, alone=alone, rewritten=rewritten))
    same = any(getattr(method, "same_dropout", False) for method in methods)
    return Chain(stages, same_dropout=same)
