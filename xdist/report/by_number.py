"""How a difference changes with a number of the training, such as a radius: a figure for each series of conditions that differ
in it alone, with a line for each group of languages that the sentences speak of."""

from collections.abc import Iterator
from dataclasses import dataclass

from xdist.report.answer import Conclusion, Difference
from xdist.report.asked import NumberSeries, WhatWasRun
from xdist.report.curves import BOTTOM, LEFT, RIGHT, TOP, Mark, MarkedChart, MarkedLine, Tick, ticks
from xdist.report.numbers import limits, signed


@dataclass(frozen=True, slots=True)
class NumberCurve:
    """`groups`: by group of languages the differences from the baseline, by the number."""

    series: NumberSeries
    groups: dict[str, dict[float, Difference]]


def number_curves(asked: WhatWasRun | None, found: Conclusion) -> Iterator[NumberCurve]:
    """Of the series of which two conditions or more have scores."""
    for series in asked.series if asked else ():
        groups = {}
        for row in found.rows:
            by_condition = {one.condition: one for one in row.differences if one.against == series.against}
            points = {number: by_condition[name] for number, name in series.conditions.items() if name in by_condition}
            if row.headline and len(points) > 1:
                groups[row.name] = points
        if groups:
            yield NumberCurve(series, groups)


def number_chart(curve: NumberCurve) -> MarkedChart:
    """Both axes are linear; the horizontal one begins at 0, where no number is below it."""
    numbers = sorted({number for points in curve.groups.values() for number in points})
    begin, end = min(0.0, numbers[0]), numbers[-1]
    ends = [end for points in curve.groups.values() for one in points.values() for end in (one.interval.low, one.interval.high)]
    heights = ticks(min(0.0, *ends), max(0.0, *ends))

    def x(number: float) -> float:
        return round(LEFT + (RIGHT - LEFT - 12) * (number - begin) / (end - begin), 1)

    def y(points: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (points - heights[0]) / (heights[-1] - heights[0]), 1)

    lines = []
    for index, (group, points) in enumerate(curve.groups.items()):
        beside = 3 * index  # so that the intervals of two groups do not hide each other
        marks = tuple(
            Mark(
                x(number) + beside,
                y(one.interval.difference),
                y(one.interval.low),
                y(one.interval.high),
                one.shown,
                f"{number:g}: {signed(one.interval.difference)} ({limits(one.interval)})",
            )
            for number, one in points.items()
        )
        lines.append(MarkedLine(group, index, marks))
    below = tuple(Tick(x(number), f"{number:g}") for number in numbers)
    return MarkedChart(tuple(lines), below, tuple(Tick(y(one), f"{one:g}") for one in heights), y(0.0))
