"""Each language (or pair) apart: what a condition differs by from its baseline, with intervals over examples and seeds."""

from collections.abc import Mapping
from dataclasses import dataclass

from xdist.metrics.pooled import pooled_interval
from xdist.metrics.significance import Interval, holm
from xdist.report.answer import spread_of
from xdist.report.comparison import difference_shown
from xdist.report.results import Results
from xdist.report.scores import SMALL


@dataclass(frozen=True, slots=True)
class LanguageDifference:
    """`p` is corrected for all cells of the condition after Holm; `small`: fewer than 200 examples."""

    interval: Interval
    p: float
    count: int

    @property
    def small(self) -> bool:
        return self.count < SMALL

    @property
    def shown(self) -> bool:
        return difference_shown(self.interval, self.p)


@dataclass(frozen=True, slots=True)
class ByLanguage:
    """`cells` by task, then language from least to most pre-training text."""

    condition: str
    against: str
    cells: Mapping[str, Mapping[str, LanguageDifference]]

    @property
    def count(self) -> int:
        return sum(len(of_task) for of_task in self.cells.values())


def by_language(results: Results) -> list[ByLanguage]:
    """One for each condition that shares a task with its baseline."""
    found = []
    spreads = {
        (task.name, code): spread_of(results, [task], {task.name: [code]}, False)
        for task in results.tasks
        if not task.of_pairs
        for code in task.replicated.languages
    }
    for condition, against in results.compared:
        intervals: dict[str, dict[str, Interval]] = {}
        for task in results.tasks:
            if (parts := task.differences(condition.name, against)) and not task.of_pairs:
                intervals[task.name] = {
                    code: pooled_interval([parts.only(code)], False, spreads[task.name, code]) for code in parts.languages
                }
        corrected = holm({f"{task} {code}": one.p for task, row in intervals.items() for code, one in row.items()})
        counts = {task.name: task.replicated.counts for task in results.tasks}
        cells = {
            task: {code: LanguageDifference(one, corrected[f"{task} {code}"], counts[task][code]) for code, one in row.items()}
            for task, row in intervals.items()
        }
        if cells:
            found.append(ByLanguage(condition.name, against, cells))
    return found
