"""What became of a grid of settings: each trial's score on dev, as lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdist.estimate.usual import rate_text
from xdist.metrics.significance import Interval
from xdist.report.numbers import limits, signed


@dataclass(frozen=True, slots=True)
class Trial:
    """A point of the grid: what of the run's section `train` it changes, its mean `score` on dev over seeds, tasks and
    languages (None: it has none, for the `reason`), and `behind`: by how much it is behind the best, with its interval."""

    changes: Mapping[str, Any]
    updates: int | None
    states: tuple[str, ...]
    score: float | None = None
    behind: Interval | None = None
    reason: str = ""


def trial_lines(trials: Sequence[Trial]) -> list[str]:
    """A line on each trial: what it changes, its score, and how far it is behind the best."""
    lines = []
    for one in trials:
        what = " ".join(f"{name}={text_of(value)}" for name, value in one.changes.items())
        if one.score is None:
            lines.append(f"{what}: {one.reason or ', '.join(dict.fromkeys(one.states))}")
        elif one.behind is None:
            lines.append(f"{what}: {one.score:.1f}, the best")
        else:
            chance = "" if one.behind.excludes_zero else ": may be chance"
            lines.append(
                f"{what}: {one.score:.1f}, {signed(one.behind.difference)} (95 % interval {limits(one.behind)}){chance}"
            )
    return lines


def next_rates(trials: Sequence[Trial]) -> str:
    """What to try next, where the best rate is the lowest or the highest of several; else empty."""
    rates = sorted({one.changes["learning_rate"] for one in trials if one.score is not None})
    best = trials[0].changes["learning_rate"]
    if len(rates) < 3 or best not in (rates[0], rates[-1]):
        return ""
    further, which = (best / 3, "lowest") if best == rates[0] else (best * 3, "highest")
    return f"the best rate is the {which} that was tried: --rates {rate_text(best)},{rate_text(float(f'{further:.0e}'))}"


def text_of(value: float) -> str:
    """A setting as one writes it: 1e-4, 0.1, 20."""
    return rate_text(value) if 0 < value < 1e-2 else f"{value:g}"
