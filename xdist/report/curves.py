"""Figures as geometry. Training curves: what an inline SVG needs, in the coordinates of its view box. Differences and their
intervals: where each is on one axis, in per cent of its width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from xdist.report.answer import GroupDifference
from xdist.report.record import Points, Record

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 410, 12, 218  # the plotting area; the rest carries tick labels
MOST_POINTS = 150  # per line; more are noise at this width, so their means are drawn


@dataclass(frozen=True, slots=True)
class Quantity:
    key: str
    title: str
    digits: int
    from_zero: bool  # quantities whose distance from zero is what one looks at


QUANTITIES = (
    Quantity("train/loss", "Training loss", 3, False),
    Quantity("dev/value", "Dev value that the model was chosen by", 2, False),
    Quantity("train/tokens_per_second", "Tokens per second", 0, True),
    Quantity("robust/loss_gap", "Loss gap under perturbation", 3, True),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """One run: `path` is an SVG path, `index` the place of the run in the report (its colour and dashes)."""

    run: str
    index: int
    path: str
    said: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    lines: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    window: int  # how many logged steps each drawn point is the mean of


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with an interval from `low` to `high`, which `shown` fills."""

    x: float
    y: float
    low: float | None
    high: float | None
    shown: bool
    said: str


@dataclass(frozen=True, slots=True)
class MarkedLine:
    """`index`: its colour and dashes."""

    name: str
    index: int
    marks: tuple[Mark, ...]

    @property
    def path(self) -> str:
        """An SVG path."""
        return "M" + "L".join(f"{mark.x} {mark.y}" for mark in self.marks)

    @property
    def said(self) -> str:
        return "; ".join(mark.said for mark in self.marks)


@dataclass(frozen=True, slots=True)
class MarkedChart:
    """`zero`: where a line is drawn for 0, if at all."""

    lines: tuple[MarkedLine, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float | None = None


def charts(records: Sequence[Record]) -> list[Chart]:
    """One chart per quantity that at least one run logged at two or more finite points."""
    return [chart for quantity in QUANTITIES if (chart := _chart(quantity, records))]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 1 round numbers, at equal steps of 1, 2 or 5 times a power of ten, that enclose low … high."""
    size = max(abs(low), abs(high))
    span = high - low
    if span <= max(1e-9 * size, 1e-12):  # one value, to rounding: any step will do
        span = size if size > 1e-12 else 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            break
    last = max(last, first + 1)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _chart(quantity: Quantity, records: Sequence[Record]) -> Chart | None:
    found = {index: record.metrics.get(quantity.key, []) for index, record in enumerate(records)}
    found = {index: points for index, points in found.items() if sum(math.isfinite(y) for _, y in points) > 1}
    if not found:
        return None
    window = max(math.ceil(len(points) / MOST_POINTS) for points in found.values())
    drawn = {index: _means(points, window) for index, points in found.items()}
    steps = [step for points in found.values() for step, _ in points]
    values = [value for points in drawn.values() for _, value in points if math.isfinite(value)]
    first, last = min(0, *steps), max(steps)
    x_marks = [mark for mark in ticks(first, last) if first <= mark <= last]
    y_marks = ticks(*((min(0.0, *values), max(0.0, *values)) if quantity.from_zero else (min(values), max(values))))

    def x(step: float) -> float:
        return LEFT + (RIGHT - LEFT) * (step - first) / (last - first)

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - y_marks[0]) / (y_marks[-1] - y_marks[0])

    lines = []
    for index, points in found.items():
        path = _path([(x(step), y(value)) for step, value in drawn[index]])
        lines.append(Curve(records[index].name, index, path, _line_in_words(points, quantity.digits)))
    x_ticks = tuple(Tick(round(x(mark), 1), _short(mark)) for mark in x_marks)
    y_ticks = tuple(Tick(round(y(mark), 1), _short(mark)) for mark in y_marks)
    return Chart(quantity.title, tuple(lines), x_ticks, y_ticks, window)


def _means(points: Points, window: int) -> list[tuple[float, float]]:
    """Means of `window` points each, of the finite values among them; not a number where there is none."""
    parts = [points[start : start + window] for start in range(0, len(points), window)]
    finite = [[value for _, value in part if math.isfinite(value)] for part in parts]
    return [
        (fmean(step for step, _ in part), fmean(values) if values else math.nan)
        for part, values in zip(parts, finite, strict=True)
    ]


def _short(number: float) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= 10 * size or (abs(number) >= size and suffix == "M"):
            return f"{number / size:g}{suffix}"
    return f"{number:,g}"


def _path(points: Sequence[tuple[float, float]]) -> str:
    """`M x y L x y …`; a value that is not finite leaves a gap."""
    parts, pen = [], "M"
    for x, y in points:
        if math.isfinite(y):
            parts.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L" if math.isfinite(y) else "M"
    return "".join(parts)


def _line_in_words(points: Points, digits: int) -> str:
    """The line in words, for those who do not see it."""
    points = [(step, value) for step, value in points if math.isfinite(value)]
    low, high = min(value for _, value in points), max(value for _, value in points)
    (first, start), (last, end) = points[0], points[-1]
    return (
        f"{start:,.{digits}f} at step {first:,}, {end:,.{digits}f} at step {last:,}; "
        f"lowest {low:,.{digits}f}, highest {high:,.{digits}f}"
    )


MARGIN = 3.0  # per cent on either side, so that marks at the ends are complete


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
