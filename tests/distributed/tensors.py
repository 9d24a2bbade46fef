"""Tensors from ranks: how they are written as JSON, and how those of a plain loop are compared with them."""

import base64
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

KEY = "fp32"


def packed(value: object) -> dict[str, str]:
    """What JSON writes for a tensor: its numbers as bytes, many times cheaper than as text."""
    assert isinstance(value, Tensor), f"{type(value).__name__} is not JSON"
    return {KEY: base64.b64encode(value.detach().float().contiguous().numpy().tobytes()).decode()}


def unpacked(values: dict[str, Any]) -> Any:
    """The tensor, in one line, of what `packed` made; any other object as it is."""
    return torch.frombuffer(bytearray(base64.b64decode(values[KEY])), dtype=torch.float32) if values.keys() == {KEY} else values


def apart(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], bound: float, relative: float = 0.0) -> list[str]:
    """Names of tensors of `expected` that `found` lacks, or of which a number differs by more than the larger of `bound` and
    `relative` times the expected one."""
    return [name for name, value in expected.items() if not _near(found.get(name), value, bound, relative)]


def _near(found: Tensor | None, expected: Tensor, bound: float, relative: float) -> bool:
    if found is None or found.shape != expected.shape:
        return False
    return bool(((found - expected).abs() <= (relative * expected.abs()).clamp(min=bound)).all())  # no NaN is near


def largest(values: Mapping[str, Tensor]) -> float:
    return max(float(value.abs().max()) for value in values.values())
