"""Two systems, each one run or several seeds of one: what each task that all were scored on says of their difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xdist.errors import UserError, unknown
from xdist.evaluation.per_example import Gold, Scored, scored_tasks
from xdist.languages import by_size
from xdist.metrics import Metric
from xdist.report.comparison import Comparison, compare


@dataclass(frozen=True, slots=True)
class TaskDifferences:
    """The differences A - B on one task, by the headline of its metric; `absent` says why there are none: what is not installed
    here."""

    task: str
    split: str
    metric: Metric | None = None
    comparison: Comparison | None = None
    absent: str = ""


def compare_runs(a: Sequence[Path], b: Sequence[Path], only: str | None = None) -> list[TaskDifferences]:
    """Run folders A against run folders B (seeds, in the same order) on every task that all have scores of, or that one `only`.
    Raises UserError for what is no run with scores, runs without a common task, and runs that were scored on other splits or
    examples or by other metrics."""
    gold, where = Gold(), f"{a[0]} and {b[0]}"
    systems = [[scored_tasks(folder, gold) for folder in folders] for folders in (a, b)]
    names = [name for name in systems[0][0] if all(name in run for system in systems for run in system)]
    if only and only not in names:
        raise UserError(unknown("task of both runs", only, names))
    if not names:
        raise UserError(f"{where}: no task was scored in both")
    differences = [
        _compared(f"{where}: {name}", name, [[run[name] for run in system] for system in systems])
        for name in ([only] if only else names)
    ]
    if all(difference.absent for difference in differences):
        raise UserError(f"{where}: {'; '.join(f'{difference.task}: {difference.absent}' for difference in differences)}")
    return differences


def _compared(where: str, name: str, sides: Sequence[Sequence[Scored]]) -> TaskDifferences:
    every = [scored for side in sides for scored in side]
    splits, metrics = sorted({scored.split for scored in every}), sorted({scored.scored_by for scored in every})
    if absent := next((scored.absent for scored in every if scored.absent), None):
        return TaskDifferences(name, splits[0], absent=absent)
    if len(splits) > 1:
        raise UserError(f"{where}: some were scored on {splits[0]}, some on {splits[1]}")
    if len(metrics) > 1:
        raise UserError(f"{where}: some were scored by {metrics[0]}, some by {metrics[1]}; evaluate those again")
    trained_on = sorted({code for scored in every for code in scored.trained_on})
    metric = every[0].metric
    first, second = ([scored.rows for scored in side] for side in sides)
    by_all = [code for code in every[0].languages if all(code in scored.languages for scored in every)]
    blank = by_size(code for code in by_all if not all(code in scored.rows for scored in every))
    try:
        return TaskDifferences(
            name, splits[0], metric, compare(first, second, metric, trained_on, blank=blank, read=every[0].read)
        )
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
