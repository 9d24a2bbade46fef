"""Whether a training loss was still falling when training ended: more updates might then change the answer."""

import math
from collections.abc import Sequence

import numpy as np

from xdist.report.record import Points
from xdist.report.results import RunFacts

FEWEST = 12  # logged points of the part that is looked at
PART = 3  # the last third
MUCH = 0.05  # of the loss there
SURE = 3.0  # standard errors of the slope
MOST = 3  # runs that are named


def fall(points: Points) -> float | None:
    """By which share of its mean a quantity fell over the last third of what was logged, by a straight line; None where that is
    little, or no more than its noise."""
    part = [(step, value) for step, value in points[-(len(points) // PART) :] if math.isfinite(value)]
    if len(part) < FEWEST:
        return None
    steps, values = np.array(part, dtype=np.float64).T
    steps -= steps.mean()
    slope = float(steps @ values / (steps @ steps))
    rest = values - values.mean() - slope * steps
    error = math.sqrt(float(rest @ rest) / (len(part) - 2) / float(steps @ steps))
    share = -slope * float(steps[-1] - steps[0]) / max(1e-12, abs(float(values.mean())))
    return share if share > MUCH and -slope > SURE * error else None


def still_falling(runs: Sequence[RunFacts]) -> str:
    """A sentence on finished runs whose loss was falling; empty where there is none."""
    found = [
        (run.name, share)
        for run in runs
        if run.state == "finished" and (share := fall(run.record.metrics.get("train/loss", []))) is not None
    ]
    if not found:
        return ""
    trained = sum(run.state == "finished" and "train/loss" in run.record.metrics for run in runs)
    named = ", ".join(f"{name} by {share:.0%}" for name, share in sorted(found, key=lambda one: -one[1])[:MOST])
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return (
        f"Losses were still falling at the end of {len(found)} of {trained} runs (over their last third: {named}{more}): "
        "longer training may change the answer."
    )
