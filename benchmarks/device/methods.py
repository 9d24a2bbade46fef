"""The gradient that every method of `robust` trains with, on this device, against a plain PyTorch loop over rows on the CPU."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from torch import Tensor

from device.child import Check
from device.setup import Setup, in_precision, stage

# Relative to the largest entry of the gradient. A divergence near the clean input is a difference of nearly equal numbers.
BOUNDS = {"fp32": 1e-4, "bf16": 6e-2, "fp16": 1e-2}


def checks(setup: Setup) -> list[tuple[str, Check]]:
    from distributed.plain_robust import EXACT

    cases = [(name, "fp32", (0, 2, 3)[place % 3]) for place, name in enumerate(EXACT)]
    cases += [(name, precision, 2) for precision in ("bf16", "fp16") for name in ("smart", "free")]
    expected = cache(partial(_expected, setup))
    return [
        (f"{name} {precision} ZeRO-{number}", partial(_gradient, setup, name, precision, number, expected))
        for name, precision, number in cases
        if not setup.tiny or (name, precision) == ("smart", "fp32")
    ]


def _expected(setup: Setup, name: str) -> dict[str, Tensor]:
    from distributed import cases
    from distributed.plain_robust import EXACT

    return cases.perturbed_gradient(str(setup.small_run), [f"robust={EXACT[name]}"])


def _gradient(setup: Setup, name: str, precision: str, number: int, expected: Any) -> Mapping[str, Any]:
    from distributed import cases
    from distributed.plain_robust import EXACT

    overrides = [*in_precision(precision, setup.device), *stage(number), f"robust={EXACT[name]}"]
    setup.join()
    wanted = expected(name)
    found = cases.gradient(str(setup.small_run), overrides)
    largest = max(float(value.abs().max()) for value in wanted.values())
    apart = {key: float((found[key].cpu() - value).abs().max()) / largest for key, value in wanted.items()}
    worst = max(apart, key=lambda key: apart[key])
    return {
        "ok": apart[worst] <= BOUNDS[precision],
        "largest": float(f"{apart[worst]:.3g}"),
        "bound": BOUNDS[precision],
        "where": worst,
    }
