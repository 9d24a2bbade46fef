"""Robust training: one file per method. A new one is such a file, which registers it, and its name in the list here.

`perturbed_loss` is any of them in your own loop.
"""

from typing import TYPE_CHECKING, Any

from xdist.config.method import METHODS, Method, StepCost, register
from xdist.robust import (  # noqa: F401
    adversarial,
    branch_mixture,
    code_switch,
    consistency,
    free,
    random_noise,
    substitution,
    subword,
)

if TYPE_CHECKING:
    from xdist.robust.own_loop import perturbed_loss

__all__ = ["METHODS", "Method", "StepCost", "perturbed_loss", "register"]


def __getattr__(name: str) -> Any:
    if name == "perturbed_loss":  # imports torch, which those who only read descriptions do without
        from xdist.robust.own_loop import perturbed_loss

        return perturbed_loss
    raise AttributeError(f"module 'xdist.robust' has no attribute '{name}'")
