"""Evaluation alone, of what a run's folder or backbone holds."""

from pathlib import Path

from resolved_of import resolved_of

from xdist.config import load_run
from xdist.resolve.assembly import Assembly


def evaluate_again(path: str, overrides: list[str]) -> None:
    """Evaluate what is not scored yet."""
    parts = Assembly(resolved_of(load_run(Path(path), overrides)))
    parts.evaluate(parts.prepare("evaluate"))
