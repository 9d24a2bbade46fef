"""Robust training: one small file per method, each a generator of training passes (passes.py) or a rewriter of text."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xdist.config import robust as options
from xdist.data.batches import Rewriter
from xdist.robust.adversarial import Adversarial
from xdist.robust.code_switch import CodeSwitch
from xdist.robust.consistency import Consistency
from xdist.robust.free import Free
from xdist.robust.passes import Chain, Context, Pass, Stage
from xdist.robust.random_noise import Random
from xdist.robust.statistics import Statistics
from xdist.robust.substitution import Substitution
from xdist.robust.subword import Subword

__all__ = ["Chain", "Context", "Pass", "Statistics", "chain", "rewriters"]

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
    compares = any(isinstance(method, options.Consistency) or getattr(method, "loss", "") == "kl" for method in methods)
    return Chain(stages, same, compares)


def rewriters(
    methods: Sequence[options.Method], tokenizer: PreTrainedTokenizerBase, seed: int, max_length: int | None
) -> list[Rewriter]:
    """Those of `methods` that put rows into other words, in their order. Raises UserError for a word list that is not one."""
    found: list[Rewriter] = []
    for stream, method in enumerate(methods):
        common: dict[str, Any] = {"seed": seed, "stream": stream, "max_length": max_length}
        match method:
            case options.Substitution(synonyms=synonyms, copies=copies, lookup=lookup, second=second):
                found.append(Substitution(tokenizer, synonyms, lookup=lookup, copies=copies, second=second, **common))
            case options.CodeSwitch(dictionaries=folder, languages=languages, p=p) if p:
                found.append(CodeSwitch(tokenizer, folder, languages=languages, probability=p, **common))
            case options.Subword(p=p, alpha=alpha, nbest=nbest) if p:
                found.append(Subword(tokenizer, probability=p, alpha=alpha, nbest=nbest, **common))
    return found
