"""A perturbation that the precision of the states swallows is reported, and no other."""

from typing import Any

import pytest
import torch

from xdist.robust.passes import Pass
from xdist.robust.rounding import Rounding, rounding_warning
from xdist.tasks.batch import Shift, View


@pytest.mark.parametrize(
    "dtype, size, lost",
    [
        (torch.bfloat16, 1e-5, True),  # R3F's
        (torch.float16, 1e-6, True),
        (torch.bfloat16, 1e-3, False),
        (torch.float16, 1e-4, False),
    ],
)
@pytest.mark.parametrize("made", [False, True], ids=["given", "made of states"])
def test_what_is_left_of_a_perturbation(dtype: torch.dtype, size: float, lost: bool, made: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    states = (torch.randn(200, 64, generator=generator) * 0.05).to(dtype)
    delta = (2 * torch.rand(200, 64, generator=generator) - 1) * size
    delta[0] = 0  # a token that may not move
    delta.requires_grad_(not made)
    batch: Any = object()
    shift = Shift("input", (lambda states: delta) if made else delta)
    rounding = Rounding(dtype, states.device)
    one = rounding.watch_pass(Pass((View(batch), View(batch, (shift,)), View(batch, (shift,)))))
    plain, first, second = one.views
    assert plain.shifts == ()
    assert first.shifts[0] is second.shifts[0]  # the encoder's work is shared by shifts
    noting = first.shifts[0].delta
    assert not isinstance(noting, torch.Tensor)
    assert noting(states.float()) is delta
    said = rounding_warning(rounding.sums.tolist(), "bf16")
    assert bool(said) == lost
    share = ((states + delta.to(dtype)) != states)[1:].float().mean()
    if lost:
        assert f"they move {share:.0%} of the coordinates" in said


def test_only_passes_with_shifts_are_seen() -> None:
    batch: Any = object()
    rounding = Rounding(torch.bfloat16, torch.device("cpu"))
    rounding.watch_pass(Pass((View(batch),)))
    assert not rounding.seen
    rounding.watch_pass(Pass((View(batch, (Shift("last", torch.zeros(1, 1)),)),)))
    assert rounding.seen
    assert rounding_warning(rounding.sums.tolist(), "bf16") == ""
