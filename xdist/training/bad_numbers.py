"""Steps whose loss or gradient is not finite: skipped by the engine on all ranks alike, counted here, and too many in a row end
the run with what is needed to look at the batch."""

import logging
from collections import defaultdict
from collections.abc import Callable

from xdist.data.batches import TrainingData
from xdist.errors import RunError
from xdist.run import distributed

log = logging.getLogger(__name__)
SHOWN = 8


class BadSteps:
    """`note` after every step; ends the run after `limit` skipped steps in a row."""

    def __init__(self, data: TrainingData, limit: int, skipped: int, last_good: Callable[[], str]) -> None:
        self._data, self._limit, self._skipped, self._last_good = data, limit, skipped, last_good
        self.in_a_row = 0

    def note(self, number: int, skipped: int) -> None:
        """`skipped` steps of the run were skipped once step `number` was done. Raises RunError. The same on every rank."""
        bad, self._skipped = skipped > self._skipped, skipped
        self.in_a_row = self.in_a_row + 1 if bad else 0
        if not bad:
            return
        rows = rows_of(self._data, number)
        if distributed.rank() == 0:
            log.warning("step %d skipped: its loss or gradient is not finite (%s)", number, rows)
        if self.in_a_row >= self._limit:
            raise RunError(
                f"{self.in_a_row} steps in a row without a finite gradient, the last one step {number} of {rows}; "
                f"{self._last_good()}; look at the batch: xdist train RUN.yaml --only-step {number}"
            )


def rows_of(data: TrainingData, number: int) -> str:
    """'xnli train en rows 3, 17; …' of step `number`."""
    draws = data.plan.step(number)
    rows: dict[str, list[int]] = defaultdict(list)
    for source, row in zip(draws.source, draws.row, strict=True):
        rows[str(data.subsets[source])].append(int(row))
    return "; ".join(
        f"{subset} rows {', '.join(map(str, sorted(found)[:SHOWN]))}{' …' if len(found) > SHOWN else ''}"
        for subset, found in sorted(rows.items())
    )
