"""Adversarial training: the worst shift of the input embeddings inside a ball, then one training pass on it.

    delta_0     = 0, or drawn uniformly from the ball (`random_start`)
    delta_{k+1} = project(delta_k + alpha * direction(gradient of the loss with respect to delta_k))
    alpha       = step_size * radius / K
    the update minimises the loss at delta_K

Projected gradient ascent of Madry et al. 2018 (arXiv 1706.06083) at the site of FreeLB (arXiv 1909.11764); K = 1 from 0 is
FGM (Miyato et al. 2017, arXiv 1605.07725). As a defence for zero-shot transfer: arXiv 2104.08645, which publishes none of
its constants.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from xdist.config import Robust
from xdist.robust.ball import Ball, ball_round
from xdist.robust.noise import gaussian, uniform
from xdist.robust.passes import Inner, Pass
from xdist.tasks.batch import Batch


class Adversarial:
    def __init__(self, section: Robust, seed: int, special_ids: Tensor) -> None:
        self.section = section
        self.seed = seed
        self.special_ids = special_ids

    def passes(self, inner: Inner, embedding: nn.Module, batch: Batch, step: int) -> Iterator[Pass]:
        section = self.section
        ball = ball_round(embedding, batch, self.special_ids, section.radius, section.norm, section.ball)
        delta = self._start(ball, embedding.embedding_dim, batch, step)  # type: ignore[arg-type]
        loss_before = None
        for _ in range(section.steps):
            delta.requires_grad_()
            loss = inner(delta)
            (gradient,) = torch.autograd.grad(loss, delta)
            loss_before = loss.detach() if loss_before is None else loss_before
            stride = section.step_size * ball.radius / section.steps
            delta = ball.project(delta.detach() + stride * ball.direction(gradient.float()))
        yield Pass(delta, loss_before=loss_before)

    def _start(self, ball: Ball, width: int, batch: Batch, step: int) -> Tensor:
        if not self.section.random_start:
            return torch.zeros(len(batch.tokens), width, device=batch.tokens.device)
        if self.section.norm == "linf":
            box = 2 * uniform(batch, width, self.seed, step, 0) - 1
            return box * ball.radius * ball.free
        # Uniform in an L2 ball of n free coordinates: a Gaussian direction, a radius of u ** (1 / n).
        direction = ball.direction(gaussian(batch, width, self.seed, step, 0))
        tokens = torch.arange(len(ball.group), device=direction.device)
        first = tokens.new_full((ball.groups,), len(tokens)).scatter_reduce(0, ball.group, tokens, "amin")
        share = uniform(batch, 1, self.seed, step, 9)[first, 0]
        coordinates = torch.zeros_like(share).index_add(0, ball.group, ball.free[:, 0]) * width
        return direction * ball.radius * (share ** (1 / coordinates.clamp_min(1)))[ball.group, None]
