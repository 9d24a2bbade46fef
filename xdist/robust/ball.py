"""Balls round the input embeddings: one per example (Frobenius norm over its tokens) or one per token.

Radii are relative: `radius` times the norm of the embeddings that the ball surrounds. A row's ball thus depends on that row
alone, never on what else stands in the batch, and a radius means the same for every encoder and width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

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
        if self.norm == "linf":
            sizes = vectors.new_zeros(self.groups).scatter_reduce(0, self.group, vectors.abs().amax(-1), "amax")
        else:
            sizes = vectors.new_zeros(self.groups).index_add(0, self.group, vectors.square().sum(-1)).sqrt()
        return sizes[self.group, None]

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
        return delta * torch.where(length > self.radius, self.radius / length.clamp_min(1e-30), 1)


def ball_round(
    embedding: nn.Module, batch: Batch, special_ids: Tensor, radius: float, norm: Literal["l2", "linf"], per: str
) -> Ball:
    """The balls round the embeddings of `batch`, special tokens left out."""
    with torch.no_grad():
        vectors = embedding(batch.tokens).float()
        free = ~torch.isin(batch.tokens, special_ids)
        if per == "token":
            group, groups = torch.arange(len(batch.tokens), device=vectors.device), len(batch.tokens)
        else:
            group, groups = batch.token_row, len(batch.row_ids)
        squares = vectors.square().sum(-1) * free
        norms = squares.new_zeros(groups).index_add(0, group, squares).sqrt()
        if norm == "linf":  # the root mean square of a coordinate
            free_tokens = squares.new_zeros(groups).index_add(0, group, free.float())
            norms = norms / (free_tokens * vectors.shape[-1]).sqrt().clamp_min(1)
        return Ball(norm, radius * norms[group, None], group, groups, free[:, None].float())
