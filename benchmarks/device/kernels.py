"""Attention alone against fp64: every kernel that packed attention has, heads of each width, with windows and without."""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from device.child import Check
from device.setup import Setup, Skipped, apart, within
from xdist.model import packed
from xdist.tasks.packing import Packing

WIDTHS = (64, 80, 128)
LENGTHS = {"ragged": [1, 3, 128, 129, 17, 400, 64, 2, 255], "equal": [128] * 6, "one": [777]}
# Largest differences, relative to the largest value: outputs and gradients are rounded once to the precision of the inputs and
# summed in fp32.
BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
WINDOW = 33


def checks(setup: Setup) -> list[tuple[str, Check]]:
    half = [("flash_attn", torch.bfloat16), ("flash_attn", torch.float16), ("varlen_attn", torch.bfloat16)]
    kinds = [("buckets", torch.float32), ("varlen_attn", torch.float16), *half]
    found: list[tuple[str, Check]] = []
    for kernel, dtype in sorted(kinds, key=lambda one: one[0] != "varlen_attn"):
        for width in WIDTHS[: 1 if setup.tiny else None]:
            name = f"{kernel} {str(dtype).removeprefix('torch.')} heads of {width}"
            found.append((name, partial(_against_fp64, setup, kernel, dtype, width, None)))
        name = f"{kernel} {str(dtype).removeprefix('torch.')} window of {WINDOW}"
        found.append((name, partial(_against_fp64, setup, kernel, dtype, WIDTHS[0], WINDOW)))
    return found


def _against_fp64(setup: Setup, kernel: str, dtype: torch.dtype, width: int, window: int | None) -> Mapping[str, Any]:
    if kernel != "buckets" and setup.device.type == "cpu":
        raise Skipped("runs on CUDA only")
    if window and "sliding_window" not in inspect.signature(packed.packed_attention).parameters:
        raise Skipped("packed attention knows no windows in this version")
    flash = packed.flash_attn_varlen_func
    if kernel == "flash_attn" and not flash:
        raise Skipped("flash_attn is not installed")
    packed.flash_attn_varlen_func = flash if kernel == "flash_attn" else None
    try:
        found = {name: _differences(setup, dtype, width, window, lengths) for name, lengths in _lengths(setup).items()}
    finally:
        packed.flash_attn_varlen_func = flash
    verdict = within([max(values) for values in found.values()], BOUNDS[dtype])
    return {**verdict, "output_and_gradients": {name: [float(f"{one:.2g}") for one in all_] for name, all_ in found.items()}}


def _lengths(setup: Setup) -> dict[str, list[int]]:
    return {"ragged": [1, 3, 40, 17]} if setup.tiny else LENGTHS


def _differences(setup: Setup, dtype: torch.dtype, width: int, window: int | None, lengths: list[int]) -> list[float]:
    """Of the output and of the gradients of query, key and value, each relative to the largest of fp64."""
    generator = torch.Generator().manual_seed(width)
    total, heads = sum(lengths), 4
    drawn = [torch.randn(1, heads, total, width, generator=generator) for _ in range(3)]
    rounded = [one.to(setup.device, dtype).detach().requires_grad_() for one in drawn]
    exact = [one.detach().double().requires_grad_() for one in rounded]
    probe = torch.randn(total, heads, width, generator=generator).to(setup.device)
    more = {"sliding_window": window} if window else {}
    packing = Packing(lengths, setup.device)
    attention: Any = packed.packed_attention  # versions differ in what it takes
    states, _ = attention(nn.Module(), *rounded, None, scaling=width**-0.5, packing=packing, **more)
    expected = _exact(exact, lengths, width, window)
    gradients = torch.autograd.grad((states[0].float() * probe).sum(), rounded)
    wanted = torch.autograd.grad((expected * probe.double()).sum(), exact)
    return [apart(states[0], expected), *map(apart, gradients, wanted)]


def _exact(rows: list[Tensor], lengths: list[int], width: int, window: int | None) -> Tensor:
    """(T, H, D) in fp64, sequence by sequence, by the formula."""
    found = []
    for query, key, value in zip(*(one[0].split(lengths, dim=1) for one in rows), strict=True):
        scores = query @ key.transpose(1, 2) * width**-0.5
        if window:
            place = torch.arange(query.shape[1], device=query.device)
            scores = scores.masked_fill((place[:, None] - place).abs() >= window, -torch.inf)
        found.append((scores.softmax(-1) @ value).transpose(0, 1))
    return torch.cat(found)
