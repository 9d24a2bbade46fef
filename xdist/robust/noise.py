"""Random numbers that belong to a row: they depend on (seed, step, row, position, coordinate) and on nothing else.

Not on the rank, the micro-batch, the world size or the device, so that every run draws the same noise for the same row.
"""

import math

import torch
from torch import Tensor

from xdist.data.permutation import key_of
from xdist.tasks.batch import Batch


def _mix(values: Tensor) -> Tensor:
    """SplitMix64's finaliser on int64, whose shifts are arithmetic: the masks make them logical."""
    values = (values ^ ((values >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    values = (values ^ ((values >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return values ^ ((values >> 31) & 0x1FFFFFFFF)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def uniform(batch: Batch, width: int, seed: int, step: int, stream: int) -> Tensor:
    """(T, width) numbers in [0, 1), fp32."""
    device = batch.tokens.device
    token_key = _mix(batch.row_ids[batch.token_row] * 0x1000003 + _signed(key_of(seed, step, stream)))
    token_key = _mix(token_key + batch.row_positions)
    bits = _mix(token_key[:, None] + torch.arange(width, device=device) * -0x61C8864680B583EB)
    return ((bits >> 40) & 0xFFFFFF).float() * (1 / (1 << 24))


def gaussian(batch: Batch, width: int, seed: int, step: int, stream: int) -> Tensor:
    """(T, width) standard normal numbers, fp32 (Box and Muller 1958)."""
    first = uniform(batch, width, seed, step, 2 * stream + 1)
    second = uniform(batch, width, seed, step, 2 * stream + 2)
    return (-2 * torch.log1p(-first)).sqrt() * torch.cos(2 * math.pi * second)
