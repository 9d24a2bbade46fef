"""What a metric is: one value that scoring, intervals, selection on dev, comparison and reports share.

A metric counts: it makes rows of numbers, one for each example (or group of examples), and a score of their sum. The score of a
test set is that of the sum over all its rows; of a draw of the bootstrap, that of the sum over the rows drawn. There is no
other way to a number, so an interval is about the very score that it is shown with.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

import numpy as np

from xdist.errors import UserError
from xdist.metrics.counts import Array, CountRows, Sums
from xdist.registry import Registry, not_here


@dataclass(frozen=True, slots=True)
class Given:
    """What a metric may use in addition to predictions and gold: language and examples of the test set, labels of its task."""

    language: str = ""
    labels: tuple[str, ...] = ()
    examples: Sequence[Any] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Metric:
    """`rows(predictions, gold, given)` gives rows [n, columns] (or [n]) in an order and number that predictions do not change.
    `score(sums)` takes sums [m, columns], each over a selection of rows, and gives by name the `numbers` of each, [m]. A mean
    over examples or groups has a column of ones to divide by; what has no value where nothing was counted is 0.

    The first of `numbers` is the headline: it ranks tasks, chooses models and gives differences. All are within `bounds`;
    with `percent` they are fractions, shown times 100. `in_average`: the numbers whose mean stands for the task in the official
    average of XTREME-R, where that is not the headline. `families`: whose predictions it reads. Of a retrieval of sentences it
    reads this many `nearest` rows of each query, best first, and with `both_ways` those of the other side's sentences after
    them; the nearest alone is a number, not a list.
    `graded`: labels are numbers, and so may predictions be: any number by which examples are ranked.
    `refuses(labels, languages)` says in a few words why a task with those cannot be scored; None where it can.
    """

    name: str
    about: str = ""
    families: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: Callable[[Any, Any, Given], CountRows]
    score: Callable[[Sums], Mapping[str, Array]]
    bounds: tuple[float, float] = (0.0, 1.0)
    percent: bool = True
    lower_is_better: bool = False
    in_average: tuple[str, ...] = ()
    nearest: int = 1
    both_ways: bool = False
    graded: bool = False
    refuses: Callable[[Sequence[str], Sequence[str]], str | None] = lambda labels, languages: None

    def __post_init__(self) -> None:
        """Raises UserError for what can be no metric."""
        if not (self.numbers and self.families):
            raise UserError(f"metric '{self.name}' needs numbers and the families whose predictions it reads")
        if strange := sorted(set(self.in_average) - set(self.numbers)):
            raise UserError(f"metric '{self.name}' gives {', '.join(self.numbers)}; in_average names {strange[0]}")
        if not self.bounds[0] < self.bounds[1]:
            raise UserError(f"metric '{self.name}': bounds {self.bounds[0]:g} to {self.bounds[1]:g} hold no number")

    @property
    def headline(self) -> str:
        return self.numbers[0]

    @property
    def sign(self) -> int:
        """What a number is multiplied by so that more is better."""
        return -1 if self.lower_is_better else 1

    @property
    def unit(self) -> float:
        """What a number is multiplied by to be shown: then it is in points."""
        return 100.0 if self.percent else 1.0

    @property
    def range(self) -> tuple[float, float]:
        """The least and the most that a number can be, in points."""
        low, high = self.bounds
        return self.unit * low, self.unit * high

    def refusal(self, family: str, labels: Sequence[str], languages: Sequence[str]) -> str | None:
        """Why a task of that kind cannot be scored by this metric; None where it can."""
        if family not in self.families:
            return f"metric '{self.name}' scores {' and '.join(self.families)}, not {family}"
        reason = self.refuses(labels, languages)
        return f"metric '{self.name}': {reason}" if reason else None

    def rows_of(self, predictions: Any, gold: Any, given: Given | None = None) -> CountRows:
        """Rows [n, columns] of predictions and gold, both in the form of the task's family. Raises UserError for rows that
        are no table of finite numbers."""
        rows = np.asarray(self.rows(predictions, gold, given or Given()), dtype=np.float64)
        rows = rows[:, None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise UserError(f"metric '{self.name}': rows must be [examples, columns] of finite numbers")
        return rows

    def of_rows(self, rows: CountRows) -> dict[str, float]:
        """The numbers, in points, of a complete test set. Raises ValueError where it is empty."""
        if len(rows) == 0:
            raise ValueError("no examples: nothing to score")
        # A column at a time: numpy then sums pairwise, and thousands of fractions lose no digits.
        sums = np.array([column.sum() for column in rows.T])
        # In addition a draw of everything twice: a score that cannot distinguish selections is found here, before any
        # bootstrap.
        found = self.of_sums(np.stack([sums, 2 * sums]))
        return {name: float(values[0]) for name, values in found.items()}

    def of_sums(self, sums: Sums) -> dict[str, Array]:
        """The numbers, in points and each [...], of sums [..., columns]. Raises UserError where a number is missing, not finite
        or out of bounds, and where those of one selection change with the other selections."""
        flat = sums.reshape(-1, sums.shape[-1])
        found = self._checked(flat)
        for place in {0, len(flat) - 1} if len(flat) > 1 else ():
            alone = self._checked(flat[place : place + 1])
            if not all(isclose(found[name][place], alone[name][0], rel_tol=1e-9, abs_tol=1e-12) for name in self.numbers):
                raise UserError(f"metric '{self.name}': the score of a selection of rows depends on the other selections")
        return {name: self.unit * values.reshape(sums.shape[:-1]) for name, values in found.items()}

    def points(self, sums: Sums) -> Array:
        """[...]: the headline, in points, of sums [..., columns]."""
        return self.of_sums(sums)[self.headline]

    def _checked(self, sums: Sums) -> dict[str, Array]:
        found = {name: np.asarray(values, dtype=np.float64) for name, values in self.score(sums).items()}
        if set(found) != set(self.numbers):
            raise UserError(f"metric '{self.name}' gives {', '.join(found) or 'nothing'}, not {', '.join(self.numbers)}")
        low, high = self.bounds
        for name, values in found.items():
            if values.shape != (len(sums),):
                raise UserError(f"metric '{self.name}': {name} of {len(sums)} selections has shape {values.shape}")
            outside = values[~((values >= low - 1e-9) & (values <= high + 1e-9))]  # what is not a number too
            if len(outside):
                raise UserError(f"metric '{self.name}': {name} is {outside[0]:g}, which is not within {low:g} to {high:g}")
        return found


METRICS: Registry[Metric] = Registry("metric", "xdist.metrics")
register = METRICS.register


def metric(name: str, named: Collection[str] | None = None) -> Metric:
    """The metric of that name, as far as plugins that are `named` provide it (`Registry.get`). Raises UserError with the
    nearest name."""
    return METRICS.get(name, named)


def missing_metric(name: str) -> str | None:
    """What to say of a metric that another's folder names and that is not registered here; None where it is."""
    return None if METRICS.has(name) else not_here("metric", name)
