"""Steps whose loss or gradient is not finite: skipped by the engine on all ranks, counted here, and too many in a row end
the run with what is needed to look at the batch."""

import logging
from collections import defaultdict
from collections.abc import Callable

from xdist.data.batches import TrainingData
from xdist.engine.engine import Engine
from xdist.engine.loss_scale import SMALLEST
from xdist.errors import RunError
from xdist.run import distributed

log = logging.getLogger(__name__)
SHOWN = 8


class BadSteps:
    """`note` of every step; ends the run after `limit` skipped steps in a row. In fp16 the first steps are skipped until the
    loss scale is small enough, which is no error; there a scale that no longer scales anything ends the run."""

    def __init__(self, data: TrainingData, limit: int, engine: Engine, last_good: Callable[[], str]) -> None:
        self._data, self._limit, self._engine, self._last_good = data, limit, engine, last_good
        self._skipped, self.in_a_row, self._noted = engine.skipped, 0, -1

    def note(self, number: int) -> None:
        """Once it is known whether step `number` was made; again, nothing. Raises RunError. The same on every rank."""
        if number <= self._noted:
            return
        engine, self._noted = self._engine, number
        skipped = engine.skipped
        bad, self._skipped = skipped > self._skipped, skipped
        self.in_a_row = self.in_a_row + 1 if bad else 0
        if not bad:
            return
        rows, scale, seeking = rows_of(self._data, number), engine.loss_scale, skipped > number
        if distributed.rank() == 0 and scale:
            log.log(
                logging.INFO if seeking or self.in_a_row == 1 else logging.WARNING,
                "step %d skipped: fp16 has no room for its gradients; the loss scale is now %g (%s)",
                number,
                scale.value,
                rows,
            )
        elif distributed.rank() == 0:
            log.warning("step %d skipped: its loss or gradient is not finite (%s)", number, rows)
        collapsed = scale is not None and scale.value <= SMALLEST
        if collapsed or (self.in_a_row >= self._limit and not (scale and seeking)):
            fell = f" in fp16, whose loss scale fell to {scale.value:g}" if scale else ""
            wider = ", or train in another folder with runtime.precision=fp32" if engine.half else ""
            raise RunError(
                f"{self.in_a_row} steps in a row without a finite gradient{fell}, the last one step {number} of {rows}; "
                f"{self._last_good()}; look at the batch: xdist train RUN.yaml --only-step {number}{wider}"
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
