"""Differences and their intervals as a figure: where each stands on one axis, in per cent of its width."""

from collections.abc import Sequence
from dataclasses import dataclass

from xdist.report.answer import GroupDifference
from xdist.report.curves import Tick, ticks

MARGIN = 3.0  # per cent on either side, so that marks at the ends are whole


@dataclass(frozen=True, slots=True)
class Axis:
    low: float
    high: float

    def at(self, value: float) -> float:
        return round(MARGIN + (100 - 2 * MARGIN) * (value - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> list[Tick]:
        return [Tick(self.at(value), f"{value:+g}" if value else "0") for value in ticks(self.low, self.high)]


def axis(rows: Sequence[GroupDifference]) -> Axis:
    """Round numbers that enclose zero and every interval."""
    ends = [end for row in rows for one in row.differences for end in (one.interval.low, one.interval.high)]
    marks = ticks(min([0.0, *ends]), max([0.0, *ends]))
    return Axis(marks[0], marks[-1])
