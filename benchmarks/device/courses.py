"""Training at every ZeRO stage in every precision: its losses against those of the CPU in fp32 at ZeRO 0."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from device.child import Check
from device.goldens import FEW
from device.setup import PRECISIONS, Setup, in_precision, stage

# How far a loss may be from the CPU's in any of 30 steps: sums are in another order. A CPU in bf16 is 6e-4 away at ZeRO 1 to 3,
# and ten times as far at ZeRO 0, where gradients are summed in bf16.
BOUNDS = {"fp32": 1e-3, "tf32": 5e-3, "bf16": 5e-3, "fp16": 5e-3}
BF16_AT_0 = 3e-2


def checks(setup: Setup) -> list[tuple[str, Check]]:
    plain: list[tuple[str, Check]] = [
        (f"{precision} ZeRO-{number}", partial(_course, setup, "plain", "none", precision, number))
        for number in (0, 2, 3, 1)
        for precision in PRECISIONS
        if not setup.tiny or (precision, number) in (("fp32", 2), ("bf16", 2), ("tf32", 2), ("fp16", 2))
    ]
    if setup.tiny:
        return plain
    from distributed.plain_robust import REWRITING

    rewritten: list[tuple[str, Check]] = [
        (f"{name}", partial(_course, setup, name, method.replace("%s", str(setup.goldens / "words")), "fp32", 2))
        for name, method in REWRITING.items()
    ]
    return [*plain, *rewritten]


def _course(setup: Setup, golden: str, method: str, precision: str, number: int) -> Mapping[str, Any]:
    from distributed import cases

    robust = "robust.method=none" if method == "none" else f"robust={method}"
    overrides = [*in_precision(precision, setup.device), *stage(number), robust]
    setup.join()
    bound = BF16_AT_0 if (precision, number) == ("bf16", 0) else BOUNDS[precision]
    expected = setup.golden["courses"][golden]["loss"]
    steps = min(len(expected), FEW) if setup.tiny else len(expected)
    found = cases.losses(str(setup.small_run), overrides, steps)["loss"]
    apart = [abs(one - other) for one, other in zip(found, expected, strict=False)]
    return {
        "ok": all(one <= bound for one in apart),
        "largest": float(f"{max(apart):.3g}"),
        "bound": bound,
        "last_loss": [round(found[-1], 5), round(expected[steps - 1], 5)],
    }
