"""A learning curve as geometry: what an inline SVG needs, in the coordinates of its view box."""

import math
from collections.abc import Iterator, Sequence

from xdist.report.curves import BOTTOM, LEFT, RIGHT, TOP, Mark, MarkedChart, MarkedLine, Tick, ticks
from xdist.report.labelling import Gain, LearningCurve, LearningPoint
from xdist.report.numbers import limits, signed


def labelling_chart(curve: LearningCurve) -> MarkedChart:
    """Examples on a logarithmic scale on which 0 has a place. The interval of a mark is that of the difference from the first
    one, placed at the score of that."""
    sides: list[tuple[str, int, list[tuple[LearningPoint, Gain]]]] = [
        ("labelled", 0, [(point, point.labelled) for point in curve.points]),
        ("not trained on", 1, [(point, point.others) for point in curve.points if point.others]),
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
        for point, gain in points:
            low, high = (y(begin + end) for end in (gain.interval.low, gain.interval.high)) if gain.interval else (None, None)
            drawn.append(Mark(x(point.rows), y(gain.score), low, high, gain.shown, _point_in_words(point, gain)))
        lines.append(MarkedLine(name, index, tuple(drawn)))
    x_ticks = tuple(Tick(x(point.rows), f"{point.rows:,}") for point in curve.points)
    return MarkedChart(tuple(lines), x_ticks, tuple(Tick(y(mark), f"{mark:g}") for mark in marks))


def _values(points: Sequence[tuple[LearningPoint, Gain]]) -> Iterator[float]:
    begin = points[0][1].score
    for _, gain in points:
        yield gain.score
        if gain.interval:
            yield from (begin + gain.interval.low, begin + gain.interval.high)


def _point_in_words(point: LearningPoint, gain: Gain) -> str:
    change = f", {signed(gain.interval.difference)} ({limits(gain.interval)})" if gain.interval else ""
    return f"{gain.score:.1f} with {point.rows:,} examples{change}"
