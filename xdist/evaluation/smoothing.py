"""Smoothed prediction: the mean over draws of noise of what the model predicts (randomized smoothing, arXiv 1902.02918, as
averaged probabilities; no certificate is computed). Off unless `evaluate.smoothing` is given.

    log p(x) = log mean over m draws of p(y | x + noise),   noise as in robust/noise.py, drawn by (seed, row)

A family then predicts from it as from its head's outputs. What a softmax takes no notice of, a constant per distribution, stays
as its mean over the draws: spans of several windows are compared by it. Sentence vectors are averaged and made unit length.
"""

import time

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xdist.config.robust import Noise
from xdist.model.model import Model
from xdist.robust.noise import noise
from xdist.tasks.batch import Batch, View
from xdist.tasks.family import Family
from xdist.tasks.retrieval import Retrieval


class Smoothing:
    """`draws` times the forward passes of a plain evaluation; at place `last` of the heads alone. Counts passes and seconds."""

    def __init__(self, section: Noise, seed: int, special_ids: Tensor) -> None:
        self.section, self.seed, self.special_ids = section, seed, special_ids
        self.forward_passes, self.seconds = 0, 0.0

    def outputs(self, model: Model, family: Family, batch: Batch) -> Tensor:
        """In the shape of the head's outputs; of a retrieval family its (R, d) vectors."""
        began = time.perf_counter()
        views = [
            View(batch).shifted(self.section.place, noise(self.section, batch, self.special_ids, (self.seed, 0, draw)))
            for draw in range(self.section.draws)
        ]
        if self.section.place == "last":  # they share the encoder's work
            drawn, passes = list(model(*views)), 1
        else:
            drawn, passes = [output for view in views for output in model(view)], len(views)
        found = smooth_outputs(drawn, family, batch)
        self.forward_passes += passes
        self.seconds += time.perf_counter() - began
        return found


def smooth_outputs(drawn: list[Tensor], family: Family, batch: Batch) -> Tensor:
    """One output from those of several draws."""
    if isinstance(family, Retrieval):
        return normalize(torch.stack([family.vectors(output, batch) for output in drawn]).mean(0), dim=-1)
    outputs = torch.stack([output.float() for output in drawn])
    logs = torch.stack([family.log_probabilities(output, batch) for output in drawn])
    return logs.logsumexp(0) - torch.log(torch.tensor(float(len(drawn)))) + (outputs - logs).mean(0)
