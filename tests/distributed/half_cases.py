"""Cases in fp16, of which DeepSpeed says that a CPU has none: PyTorch computes in it all the same, op by op."""

from typing import Any

from deepspeed.accelerator import get_accelerator
from distributed import cases

from xdist.engine import engine


def run(of: str, first: float | None = None, **arguments: Any) -> dict[str, Any]:
    """The `value` of another module's case where the CPU says that it has fp16, and the loss scale after each step, which
    begins at `first`."""
    accelerator, plain = get_accelerator(), engine.LossScale
    scales: list[float] = []

    class Watched(plain):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.value = first or self.value

        def note(self, skipped: bool) -> None:
            super().note(skipped)
            scales.append(self.value)

    accelerator.is_fp16_supported = lambda: True
    engine.LossScale = Watched  # type: ignore[misc]
    try:
        return {"value": getattr(cases, of)(**arguments), "scales": scales}
    finally:
        engine.LossScale = plain  # type: ignore[misc]
        del accelerator.is_fp16_supported
