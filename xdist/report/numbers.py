"""How numbers are written, the same in every form of a report."""

from xdist.metrics.significance import Interval
from xdist.report.task_table import Score


def signed(value: float) -> str:
    """+1.2, -0.3, and +0.0 for what rounds to zero from either side."""
    return f"{round(value, 1) + 0.0:+.1f}"


def limits(interval: Interval) -> str:
    return f"{signed(interval.low)} to {signed(interval.high)}"


def probability(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def score(one: Score | None, between: str = " ± ") -> str:
    """Mean, the standard deviation over seeds where there are several, and what it is over where it is not complete."""
    if one is None:
        return "–"
    spread = f"{between}{one.spread:.1f}" if one.spread is not None else ""
    return f"{one.mean:.1f}{spread}" + (f" ({one.over})" if one.over else "")
