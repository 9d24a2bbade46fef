"""Random numbers that belong to a row: they depend on (seed, step, row, position, coordinate) and on nothing else.

Not on the rank, the micro-batch, the world size or the device, so that every run draws the same noise for the same row. Points
of a ball are made of such numbers.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from xdist.config.robust import Noise
from xdist.data.permutation import key_of
from xdist.robust.ball import Ball, ball_round
from xdist.tasks.batch import Batch


def _mix(values: Tensor) -> Tensor:
    """SplitMix64's finaliser on int64, whose shifts are arithmetic: the masks make them logical. Its factors are above 2^63
    and so negative here; products wrap around."""
    values = (values ^ ((values >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    values = (values ^ ((values >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return values ^ ((values >> 31) & 0x1FFFFFFFF)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def uniform(batch: Batch, width: int, seed: int, step: int, stream: int) -> Tensor:
    """(T, width) numbers in [0, 1), fp32."""
    device = batch.tokens.device
    # An odd factor (the prime of FNV) keeps the keys of neighbouring rows apart modulo 2^64.
    token_key = _mix(batch.row_ids[batch.token_row] * 0x1000003 + _signed(key_of(seed, step, stream)))
    token_key = _mix(token_key + batch.row_positions)
    # A step of SplitMix64 (0x9E3779B97F4A7C15, as int64) for each coordinate.
    bits = _mix(token_key[:, None] + torch.arange(width, device=device) * -0x61C8864680B583EB)
    return ((bits >> 40) & 0xFFFFFF).float() * (1 / (1 << 24))  # the upper 24 bits, as many as an fp32 holds exactly


def gaussian(batch: Batch, width: int, seed: int, step: int, stream: int) -> Tensor:
    """(T, width) standard normal numbers, fp32 (Box and Muller 1958)."""
    first = uniform(batch, width, seed, step, 2 * stream + 1)
    second = uniform(batch, width, seed, step, 2 * stream + 2)
    return (-2 * torch.log1p(-first)).sqrt() * torch.cos(2 * math.pi * second)


DRAWS = 1 << 20  # numbers that belong to one method of a chain
# Draw `number` has streams 16 number to 16 number + 15: uniform numbers take the first, Gaussian ones the next two (stream
# 8 number of `gaussian` takes 16 number + 1 and + 2), radii the tenth.


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
