"""Rows in addition to those of the conditions: what a guess scores, and scores of others. None of them enters a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from xdist.report.results import Results, TaskResult

GUESSES = {
    "majority": ("guess: majority", "the most frequent label of each test set, given to all of it"),
    "random": ("guess: random", "each label, option or sentence equally often"),
}
NOT_RUN = "not run here"


@dataclass(frozen=True, slots=True)
class BesideRow:
    """`tasks` by name; `said`: what it is, or where it comes from."""

    name: str
    said: str
    tasks: Mapping[str, float]


def extra_rows(results: Results) -> tuple[BesideRow, ...]:
    """Guesses first, then the rows that were given."""
    rows = []
    for kind, (name, said) in GUESSES.items():
        scores = {task.name: score for task in results.tasks if (score := _guess(task, kind)) is not None}
        if scores:
            rows.append(BesideRow(name, said, scores))
    given = (BesideRow(one.name, f"{NOT_RUN}; {one.source}", one.tasks) for one in results.extra)
    return (*rows, *given)


def _guess(task: TaskResult, kind: str) -> float | None:
    """Over the languages that conditions have scores of."""
    scores = task.guesses.get(kind, {})
    found = [scores[code] for code in task.replicated.languages if code in scores]
    return fmean(found) if found and len(found) == len(task.replicated.languages) else None
