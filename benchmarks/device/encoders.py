"""Complete encoders in each precision against the CPU's fp64: hidden states, and the gradient by a shift at the input, with
layers computed once and twice."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from device.child import Check
from device.goldens import WIDTHS, batch_of_lengths, encoder_of, model_of, states_and_slope, weights_and_golden
from device.setup import PRECISIONS, Setup, Skipped, apart

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Of hidden states, and of the gradient by the shift: largest differences relative to the largest value. Two to three times what
# a CPU has in this precision; tf32 rounds the inputs of products as fp16 does.
BOUNDS = {"fp32": (1e-5, 2e-5), "tf32": (6e-3, 1.5e-2), "bf16": (4e-2, 1e-1), "fp16": (6e-3, 1.5e-2)}


def checks(setup: Setup) -> list[tuple[str, Check]]:
    return [
        (f"{name} heads of {width}", partial(_against_golden, setup, name, width))
        for name in PRECISIONS
        for width in WIDTHS[: 1 if setup.tiny else None]
    ]


def _against_golden(setup: Setup, precision: str, width: int) -> Mapping[str, Any]:
    if precision == "tf32" and setup.device.type == "cpu":
        raise Skipped("tf32 is for GPUs")
    weights, golden = weights_and_golden(setup.goldens, width)
    encoder = encoder_of(width)
    encoder.load_state_dict(weights)
    model = model_of(encoder.to(setup.device, DTYPES[precision])).to(setup.device).train()
    batch = batch_of_lengths(golden["tokens"]).to(setup.device)
    inputs = (batch, golden["delta"].to(setup.device), golden["probe"].to(setup.device))
    found: dict[str, list[float]] = {}
    with _products_in(precision):
        for name in ("once", "twice"):
            if name == "twice":
                model.encoder.gradient_checkpointing_enable({"use_reentrant": False})
            states, slope = states_and_slope(model, *inputs)
            found[name] = [apart(states, golden["states"]), apart(slope, golden["slope"])]
    bounds = BOUNDS[precision]
    ok = all(one <= bound for values in found.values() for one, bound in zip(values, bounds, strict=True))
    written = {name: [float(f"{one:.2g}") for one in values] for name, values in found.items()}
    return {"ok": ok, "states_and_slope": written, "bounds": bounds}


@contextmanager
def _products_in(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
