"""A learning curve as geometry: what an inline SVG needs, in the coordinates of its view box."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdist.report.curves import BOTTOM, LEFT, RIGHT, TOP, Tick, ticks
from xdist.report.labelling import Gain, LearningCurve, LearningPoint
from xdist.report.numbers import limits, signed


@dataclass(frozen=True, slots=True)
class CurveMark:
    """A point, `low` to `high` being the interval of the difference from the first, placed at the first one's score."""

    x: float
    y: float
    low: float | None
    high: float | None
    shown: bool
    said: str


@dataclass(frozen=True, slots=True)
class CurveLine:
    """`index`: its colour and dashes."""

    name: str
    index: int
    path: str
    marks: tuple[CurveMark, ...]

    @property
    def said(self) -> str:
        return "; ".join(mark.said for mark in self.marks)


@dataclass(frozen=True, slots=True)
class LabellingChart:
    lines: tuple[CurveLine, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def labelling_chart(curve: LearningCurve) -> LabellingChart:
    """Examples on a logarithmic scale on which 0 has a place."""
    sides: list[tuple[str, int, list[tuple[LearningPoint, Gain]]]] = [
        ("labelled", 0, [(one, one.labelled) for one in curve.points]),
        ("not trained on", 1, [(one, one.others) for one in curve.points if one.others]),
    ]
    sides = [side for side in sides if side[2]]
    values = [value for _, _, points in sides for value in _values(points)]
    marks = ticks(min(values), max(values))
    least, most = (math.log1p(curve.points[at].rows) for at in (0, -1))

    def x(rows: int) -> float:
        return round(LEFT + 12 + (RIGHT - LEFT - 24) * (math.log1p(rows) - least) / (most - least), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - marks[0]) / (marks[-1] - marks[0]), 1)

    lines = []
    for name, index, points in sides:
        begin = points[0][1].score
        drawn = []
        for one, gain in points:
            low, high = (y(begin + end) for end in (gain.interval.low, gain.interval.high)) if gain.interval else (None, None)
            drawn.append(CurveMark(x(one.rows), y(gain.score), low, high, gain.shown, _said(one, gain)))
        path = "M" + "L".join(f"{mark.x} {mark.y}" for mark in drawn)
        lines.append(CurveLine(name, index, path, tuple(drawn)))
    x_ticks = tuple(Tick(x(one.rows), f"{one.rows:,}") for one in curve.points)
    return LabellingChart(tuple(lines), x_ticks, tuple(Tick(y(mark), f"{mark:g}") for mark in marks))


def _values(points: Sequence[tuple[LearningPoint, Gain]]) -> Iterator[float]:
    begin = points[0][1].score
    for _, gain in points:
        yield gain.score
        if gain.interval:
            yield from (begin + gain.interval.low, begin + gain.interval.high)


def _said(one: LearningPoint, gain: Gain) -> str:
    change = f", {signed(gain.interval.difference)} ({limits(gain.interval)})" if gain.interval else ""
    return f"{gain.score:.1f} with {one.rows:,} examples{change}"
