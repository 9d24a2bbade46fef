"""Robust training: one file per method. A new one is such a file, which registers it, and its name in the list here."""

from xdist.config.method import METHODS, Method, StepCost, register
from xdist.robust import adversarial, code_switch, consistency, free, random_noise, substitution, subword  # noqa: F401

__all__ = ["METHODS", "Method", "StepCost", "register"]
