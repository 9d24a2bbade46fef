"""Scores by pre-training size, language family and script: the position of a language, not only its name."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from xdist.report.curves import BOTTOM, LEFT, RIGHT, TOP, Tick, ticks
from xdist.report.naming import family_of, group_of, name_of, script_of, size_of
from xdist.report.scores import Column, ScoreTable, coverage

NONE_AT = LEFT + 14  # languages without pre-training text are left of the logarithmic scale
FIRST = LEFT + 64
MOST_MARKS = 5
NAMED = ("unseen", "low")  # groups whose points carry their code
MOST_LINES = 6


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    code: str
    group: str
    said: str


@dataclass(frozen=True, slots=True)
class SizeScale:
    """A logarithmic scale of sizes; `marks` are powers of ten on it."""

    low: float
    high: float
    marks: tuple[float, ...]

    @classmethod
    def of(cls, sizes: Iterable[float]) -> "SizeScale":
        found = list(sizes)
        first, last = math.floor(math.log10(min(found))), math.log10(1.3 * max(found))
        step = math.ceil((math.floor(last) - first + 1) / MOST_MARKS)
        return cls(first, last, tuple(10.0**power for power in range(first, math.floor(last) + 1, step)))

    def at(self, size: float) -> float:
        """The place of a size; left of the scale for none."""
        share = (math.log10(size) - self.low) / (self.high - self.low) if size else 0.0
        return round(FIRST + (RIGHT - FIRST) * share, 1) if size else NONE_AT


@dataclass(frozen=True, slots=True)
class Trend:
    """The least-squares line of one condition over the languages that have pre-training text."""

    condition: str
    index: int
    path: str
    said: str


@dataclass(frozen=True, slots=True)
class SizePlot:
    """The points are those of one condition, the lines of all that are drawn."""

    task: str
    metric: str
    condition: str
    unit: str
    points: tuple[Dot, ...]
    trends: tuple[Trend, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Kin:
    """A family or script: per condition the mean over tasks of the mean over its languages; None where it has no score; `over`
    per condition says of how many languages an incomplete mean is."""

    name: str
    languages: tuple[str, ...]
    means: tuple[float | None, ...]
    over: tuple[str, ...]


def size_plots(scores: ScoreTable) -> list[SizePlot]:
    tasks = dict.fromkeys(column.task for column in scores.columns if column.cells and column.read.sized)
    return [_size_plot(scores, [column for column in scores.columns if column.task == task]) for task in tasks]


def families(scores: ScoreTable) -> list[Kin]:
    return _kin(scores, family_of)


def scripts(scores: ScoreTable) -> list[Kin]:
    return _kin(scores, script_of)


def _kin(scores: ScoreTable, kind: Callable[[str], str]) -> list[Kin]:
    """From most languages to fewest, then by name."""
    members: dict[str, list[str]] = {}
    for code in scores.languages:
        members.setdefault(kind(code), []).append(code)
    return [
        Kin(
            name,
            tuple(codes),
            tuple(_mean(scores, run, codes) for run in scores.runs),
            tuple(_over(scores, run, codes) for run in scores.runs),
        )
        for name, codes in sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _mean(scores: ScoreTable, run: str, codes: Sequence[str]) -> float | None:
    averaged = [column for column in scores.columns if column.percent] or scores.columns
    means = [
        fmean(found)
        for column in averaged
        if column.run == run and (found := [column.cells[code].score for code in codes if code in column.cells])
    ]
    return fmean(means) if means else None


def _over(scores: ScoreTable, run: str, codes: Sequence[str]) -> str:
    columns = [column for column in scores.columns if column.run == run]
    predicted = sum(any(code in column.languages for column in columns) for code in codes)
    scored = sum(any(code in column.cells for column in columns) for code in codes)
    return coverage(scored, predicted)


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's; equal values share the mean of their ranks. None for fewer than three points or no variation."""
    if len(xs) < 3 or len(set(xs)) == 1 or len(set(ys)) == 1:
        return None
    from scipy.stats import spearmanr  # a second of imports, for this figure alone

    return float(spearmanr(xs, ys).statistic)


def _size_plot(scores: ScoreTable, columns: Sequence[Column]) -> SizePlot:
    columns = [column for column in columns if column.read == columns[0].read]
    read = columns[0].read
    scaled = SizeScale.of(size for size in read.sizes.values() if size)
    values = [cell.score for column in columns for code, cell in column.cells.items() if read.size(code) is not None]
    marks = ticks(min(values), max(values)) if values else [0.0, 100.0]

    def y(score: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (score - marks[0]) / (marks[-1] - marks[0]), 1)

    shown = columns[0]
    points = tuple(
        Dot(
            scaled.at(size),
            y(cell.score),
            code,
            group_of(code, read),
            f"{name_of(code)}: {cell.score:.1f}, {size_of(code, read)} {read.unit}",
        )
        for code, cell in shown.cells.items()
        if (size := read.size(code)) is not None
    )
    trends = [_trend(column, scores.runs.index(column.run), scaled, y) for column in columns[:MOST_LINES]]
    x_ticks = (Tick(NONE_AT, "none"), *(Tick(scaled.at(mark), _short(mark)) for mark in scaled.marks))
    y_ticks = tuple(Tick(y(mark), f"{mark:g}") for mark in marks)
    lines = tuple(trend for trend in trends if trend)
    return SizePlot(shown.task, shown.metric, shown.run, read.unit, points, lines, x_ticks, y_ticks)


def _trend(column: Column, index: int, scaled: SizeScale, y: Callable[[float], float]) -> Trend | None:
    seen = {code: size for code in column.cells if (size := column.read.size(code))}
    if len(seen) < 3:
        return None
    xs = [math.log10(size) for size in seen.values()]
    ys = [column.cells[code].score for code in seen]
    slope, start = (float(value) for value in np.polyfit(xs, ys, 1))
    ends = [(x, start + slope * x) for x in (min(xs), max(xs))]
    path = "M" + "L".join(f"{scaled.at(10**x)} {y(value)}" for x, value in ends)
    rho = rank_correlation(xs, ys)
    said = f"{slope:+.1f} points for ten times the text over {len(seen)} languages"
    return Trend(column.run, index, path, said + (f", rank correlation {rho:.2f}" if rho is not None else ""))


def _short(mark: float) -> str:
    return f"{mark:g}" if mark < 1000 else f"{mark:.0e}".replace("e+0", "e")
