"""The scale of the loss in fp16, where gradients below 6e-8 are 0 and those above 65504 infinite.

The loss is multiplied by it before its backward, and the gradients are divided by it in fp32 before they are used. Where one of
them is not finite, the step is not made and the scale is halved; after this many steps that were made it is doubled.

DeepSpeed gets a constant scale, and this one moves it, between steps. Its own scalers (0.19.8) divide by the new
scale in the step in which they double it; at ZeRO 0 its engine never multiplies the loss by what its optimizer divides by; and
at its smallest scale it ends with an error that says nothing of what to do.
"""

import math
from collections.abc import Mapping
from typing import Any

from xdist.run.ds_config import FIRST_SCALE

SMALLEST = 1.0  # at which nothing is scaled: fp16 has no room for this training
PATIENCE = 1000  # steps made in a row before it is doubled


def power_of_two(scale: float) -> float:
    """The one below `scale`; 1 for 0, as of a micro-batch without rows."""
    return 2.0 ** math.floor(math.log2(scale)) if scale else 1.0


class LossScale:
    """`value`: a power of two, so that multiplying and dividing by it loses nothing."""

    def __init__(self) -> None:
        self.value, self._made = FIRST_SCALE, 0

    def note(self, skipped: bool) -> None:
        """Whether the step just done was skipped for gradients that are not finite; the same on all ranks."""
        self._made = 0 if skipped else self._made + 1
        if skipped:
            self.value = max(self.value / 2, SMALLEST)
        elif self._made == PATIENCE:
            self.value, self._made = 2 * self.value, 0

    def state(self) -> dict[str, float]:
        return {"value": self.value, "made": self._made}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.value, self._made = float(state["value"]), int(state["made"])
