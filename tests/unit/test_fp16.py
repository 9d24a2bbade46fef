"""What fp16 needs besides smaller numbers: a scale of the loss that finds its size, and gradients that survive on the way."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from xdist.engine.loss_scale import PATIENCE, SMALLEST, LossScale, power_of_two
from xdist.errors import RunError
from xdist.robust.passes import Context
from xdist.run.ds_config import FIRST_SCALE
from xdist.tasks.large_vocabulary import cross_entropies
from xdist.training import bad_numbers
from xdist.training.bad_numbers import BadSteps


def test_the_loss_scale_is_halved_by_a_skipped_step_and_doubled_by_many_that_were_made() -> None:
    scale = LossScale()
    scale.note(True)
    assert scale.value == FIRST_SCALE / 2
    for _ in range(PATIENCE - 1):
        scale.note(False)
    assert scale.value == FIRST_SCALE / 2
    other = LossScale()
    other.restore(scale.state())
    for one in (scale, other):
        one.note(False)
        assert one.value == FIRST_SCALE
    for _ in range(40):
        scale.note(True)
    assert scale.value == SMALLEST


@pytest.mark.parametrize("scale, expected", [(1.0, 1.0), (3.9, 2.0), (4.0, 4.0), (0.3, 0.25), (0.0, 1.0)])
def test_a_loss_is_scaled_by_a_power_of_two(scale: float, expected: float) -> None:
    assert power_of_two(scale) == expected


class Trained:
    """What counts steps, in the place of an engine."""

    def __init__(self, precision: str) -> None:
        self.skipped, self.half = 0, precision != "fp32"
        self.loss_scale = LossScale() if precision == "fp16" else None

    def step(self, finite: bool) -> None:
        self.skipped += not finite
        if self.loss_scale:
            self.loss_scale.note(not finite)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """How many steps are done when a training in a precision ends, whose steps are finite or not."""
    monkeypatch.setattr(bad_numbers, "rows_of", lambda data, number: "xnli train en rows 1")

    def done(precision: str, finite: list[bool], limit: int = 5) -> int:
        engine: Any = Trained(precision)
        bad = BadSteps(None, limit, engine, lambda: "there is no good checkpoint yet")  # type: ignore[arg-type]
        for number, one in enumerate(finite):
            engine.step(one)
            bad.note(number)
        return len(finite)

    return done


def test_the_search_for_a_loss_scale_ends_no_run(steps: Callable[..., int]) -> None:
    assert steps("fp16", [False] * 12 + [True] * 3 + [False] * 2 + [True]) == 18


@pytest.mark.parametrize(
    "precision, finite, said",
    [
        (
            "fp16",
            [False] * 16,
            "16 steps in a row without a finite gradient in fp16, whose loss scale fell to 1, the last one step 15",
        ),
        ("fp16", [True] + [False] * 5, "5 steps in a row without a finite gradient in fp16, whose loss scale fell to 2048, "),
        ("bf16", [False] * 5, "5 steps in a row without a finite gradient, the last one step 4 of xnli train en rows 1; "),
    ],
)
def test_the_end_of_a_run_in_16_bits_names_fp32(
    steps: Callable[..., int], precision: str, finite: list[bool], said: str
) -> None:
    with pytest.raises(RunError) as caught:
        steps(precision, finite)
    line = str(caught.value)
    assert line.startswith(said)
    assert line.endswith(", or train in another folder with runtime.precision=fp32")
    assert "\n" not in line


def test_the_end_of_a_run_in_fp32_does_not(steps: Callable[..., int]) -> None:
    with pytest.raises(RunError, match=r"--only-step 4$"):
        steps("fp32", [False] * 5)


def climbed(scale: float, weight: Tensor) -> Tensor:
    """The gradient that an ascent gets of a model of one layer, whose loss is small."""
    delta = torch.zeros(weight.shape[1], requires_grad=True)
    outputs = linear(delta.to(weight.dtype), weight)
    context: Any = SimpleNamespace(scale=scale)
    context.unscaled = lambda gradient: Context.unscaled(context, gradient)
    return Context.slope(context, 1e-7 * outputs.float().sum(), delta)


def test_a_gradient_that_fp16_would_lose_is_climbed_by() -> None:
    weight = torch.rand(4, 6, generator=torch.Generator().manual_seed(1)) - 0.5
    expected = 1e-7 * weight.sum(0)
    assert climbed(1.0, weight) == pytest.approx(expected)
    assert climbed(2.0**16, weight.half()) == pytest.approx(expected, rel=1e-2, abs=1e-10)
    assert not climbed(1.0, weight.half()).allclose(expected, rtol=0.1, atol=0)


def test_a_large_vocabulary_keeps_its_small_gradients() -> None:
    """Most probabilities over it are smaller than what fp16 distinguishes."""
    generator = torch.Generator().manual_seed(1)
    states, weight = (torch.randn(n, 8, generator=generator) * 0.02 for n in (16, 20_000))
    labels = torch.randint(20_000, (16,), generator=generator)
    found = [value.half().requires_grad_() for value in (states, weight, torch.zeros(20_000))]
    (cross_entropies(*found, labels).sum() * 2.0**14).backward()  # type: ignore[arg-type]
    exact = [value.detach().float().requires_grad_() for value in found]
    (cross_entropy(linear(*exact), labels, reduction="sum") * 2.0**14).backward()  # type: ignore[arg-type]
    for one, other in zip(found, exact, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        off = (one.grad.float() - other.grad).norm() / other.grad.norm()
        assert off < 2e-3
    rare = torch.ones(20_000, dtype=torch.bool).index_fill(0, labels, False)
    off = (found[1].grad[rare].float() - exact[1].grad[rare]).norm() / exact[1].grad[rare].norm()  # type: ignore[index]
    assert off < 3e-3
