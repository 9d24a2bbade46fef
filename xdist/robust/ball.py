"""Balls round the states of a batch's tokens, such as their input embeddings: one per example (Frobenius norm over its
tokens) or one per token.

Radii are relative: `radius` times the norm of the states that the ball surrounds. A row's ball thus depends on that row
alone, never on the rest of the batch, and a radius means the same for every encoder and width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from xdist.config.robust import InBall
from xdist.tasks.batch import Batch


@dataclass(frozen=True, slots=True)
class Ball:
    """`radius` (T, 1), already broadcast to tokens; `group` (T,) says which tokens share a ball; `free` (T, 1) is 1 where
    a token may move and 0 on special tokens."""

    norm: Literal["l2", "linf"]
    radius: Tensor
    group: Tensor
    groups: int
    free: Tensor

    def length(self, vectors: Tensor) -> Tensor:
        """(T, 1) norm, in the norm of the ball, of the group that each token belongs to."""
        return self.sizes(vectors)[self.group, None]

    def sizes(self, vectors: Tensor) -> Tensor:
        """(groups,) norms, in the norm of the ball, of vectors (T, d)."""
        if self.norm == "linf":
            return vectors.new_zeros(self.groups).scatter_reduce(0, self.group, vectors.abs().amax(-1), "amax")
        return vectors.new_zeros(self.groups).index_add(0, self.group, vectors.square().sum(-1)).sqrt()

    def coordinates(self, width: int) -> Tensor:
        """(T, 1) how many numbers of the token's group may change, at least 1."""
        free = self.free[:, 0]
        return (free.new_zeros(self.groups).index_add(0, self.group, free) * width).clamp_min(1)[self.group, None]

    def direction(self, gradient: Tensor) -> Tensor:
        """The steepest step of length 1 in the ball's norm; 0 where the gradient is 0 or not finite."""
        gradient = gradient * self.free
        length = self.length(gradient)
        usable = (length > 0) & length.isfinite()
        step = gradient.sign() if self.norm == "linf" else gradient / torch.where(usable, length, 1)
        return torch.where(usable, step, 0)

    def project(self, delta: Tensor) -> Tensor:
        if self.norm == "linf":
            return delta.clamp(-self.radius, self.radius) * self.free
        delta = delta * self.free
        length = self.length(delta)
        # Where nothing moved the length is 0, and where() computes both sides.
        return delta * torch.where(length > self.radius, self.radius / length.clamp_min(1e-30), 1)


def ball_round(states: Tensor, batch: Batch, special_ids: Tensor, options: InBall) -> Ball:
    """The balls round `states` (T, d), fp32, special tokens left out unless the options include them."""
    free = torch.ones_like(batch.tokens, dtype=torch.bool)
    if not options.perturb_special:
        free = ~torch.isin(batch.tokens, special_ids)
    if options.ball == "token":
        group, groups = torch.arange(len(batch.tokens), device=states.device), len(batch.tokens)
    else:
        group, groups = batch.token_row, len(batch.row_ids)
    squares = states.square().sum(-1) * free
    norms = squares.new_zeros(groups).index_add(0, group, squares).sqrt()
    if options.norm == "linf":  # the root mean square of a coordinate
        free_tokens = squares.new_zeros(groups).index_add(0, group, free.float())
        norms = norms / (free_tokens * states.shape[-1]).sqrt().clamp_min(1)
    return Ball(options.norm, options.radius * norms[group, None], group, groups, free[:, None].float())
