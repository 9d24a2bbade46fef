"""Robust training: one small file per perturbation, each a generator of training passes."""

from torch import Tensor

from xdist.config import Robust
from xdist.robust.adversarial import Adversarial
from xdist.robust.passes import Pass, Perturbation, Plain, shifted

__all__ = ["Pass", "Perturbation", "Plain", "perturbation", "shifted"]


def perturbation(section: Robust, seed: int, special_ids: Tensor) -> Perturbation:
    """The perturbation that a run asks for."""
    if section.method == "none" or section.radius == 0 or section.steps == 0:
        return Plain()
    return Adversarial(section, seed, special_ids)
