"""Random points of a ball, drawn by the row: they depend on (seed, step, number, row) and on nothing else."""

from collections.abc import Callable

import torch
from torch import Tensor

from xdist.config.robust import Noise
from xdist.robust.ball import Ball, ball_round
from xdist.robust.noise import gaussian, uniform
from xdist.tasks.batch import Batch

DRAWS = 1 << 20  # numbers that belong to one method of a chain


def uniform_in(ball: Ball, batch: Batch, width: int, seed: int, step: int, number: int) -> Tensor:
    """(T, width) uniform in the ball."""
    if ball.norm == "linf":
        return (2 * uniform(batch, width, seed, step, 16 * number) - 1) * ball.radius * ball.free
    # Uniform in an L2 ball of n free coordinates: a Gaussian direction, a radius of u ** (1 / n).
    direction = ball.direction(gaussian(batch, width, seed, step, 8 * number))
    tokens = torch.arange(len(ball.group), device=direction.device)
    first = tokens.new_full((ball.groups,), len(tokens)).scatter_reduce(0, ball.group, tokens, "amin")
    share = uniform(batch, 1, seed, step, 16 * number + 9)[first[ball.group]]
    return direction * ball.radius * share ** (1 / ball.coordinates(width))


def gaussian_round(ball: Ball, batch: Batch, width: int, seed: int, step: int, number: int) -> Tensor:
    """(T, width) Gaussian, as wide that its mean square is that of a vector as long as the ball's radius."""
    deviation = ball.radius if ball.norm == "linf" else ball.radius / ball.coordinates(width).sqrt()
    return gaussian(batch, width, seed, step, 8 * number) * deviation * ball.free


def noise(
    options: Noise,
    batch: Batch,
    special_ids: Tensor,
    key: tuple[int, int, int],
    note: Callable[[Ball, Tensor], None] = lambda ball, delta: None,
) -> Callable[[Tensor], Tensor]:
    """From states (T, d) to their noise (T, d), drawn by `key` (seed, step, number)."""
    draw = gaussian_round if options.distribution == "gaussian" else uniform_in

    def delta(states: Tensor) -> Tensor:
        ball = ball_round(states, batch, special_ids, options)
        drawn = draw(ball, batch, states.shape[-1], *key)
        note(ball, drawn)
        return drawn

    return delta
