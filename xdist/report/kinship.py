"""Scores by pre-training size, language family and script: where a language stands, not only how it is called."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from xdist.languages import CC100
from xdist.report.curves import BOTTOM, LEFT, RIGHT, TOP, Tick, ticks
from xdist.report.scores import Column, ScoreTable, family_of, group_of, name_of, over, script_of, size_of

NONE_AT = LEFT + 14  # languages without pre-training text stand left of the logarithmic scale
FIRST = LEFT + 64
MARKS = (0.1, 1, 10, 100)
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
    points: tuple[Dot, ...]
    trends: tuple[Trend, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Kin:
    """A family or script: per condition the mean over tasks of the mean over its languages; None where it has no score; `over`
    per condition says of how many languages a mean is that is not whole."""

    name: str
    languages: tuple[str, ...]
    means: tuple[float | None, ...]
    over: tuple[str, ...]


def size_plots(scores: ScoreTable) -> list[SizePlot]:
    tasks = dict.fromkeys(column.task for column in scores.columns if column.cells)
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
    predicted, scored = (
        sum(any(code in languages(column) for column in columns) for code in codes)
        for languages in (lambda column: column.languages, lambda column: column.cells)
    )
    return over(scored, predicted)


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's; equal values share the mean of their ranks. None for fewer than three points or no variation."""
    if len(xs) < 3:
        return None
    first, second = (_ranks(np.asarray(values, dtype=np.float64)) for values in (xs, ys))
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def _size_plot(scores: ScoreTable, columns: Sequence[Column]) -> SizePlot:
    values = [cell.score for column in columns for code, cell in column.cells.items() if CC100.size(code) is not None]
    marks = ticks(min(values), max(values)) if values else [0.0, 100.0]

    def y(score: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (score - marks[0]) / (marks[-1] - marks[0]), 1)

    shown = columns[0]
    points = tuple(
        Dot(
            x_of(code),
            y(cell.score),
            code,
            group_of(code),
            f"{name_of(code)}: {cell.score:.1f}, {size_of(code)} GiB",
        )
        for code, cell in shown.cells.items()
        if CC100.size(code) is not None
    )
    trends = [_trend(column, scores.runs.index(column.run), y) for column in columns[:MOST_LINES]]
    x_ticks = (Tick(NONE_AT, "none"), *(Tick(_place(mark), f"{mark:g}") for mark in MARKS))
    y_ticks = tuple(Tick(y(mark), f"{mark:g}") for mark in marks)
    lines = tuple(trend for trend in trends if trend)
    return SizePlot(shown.task, shown.metric, shown.run, points, lines, x_ticks, y_ticks)


def _trend(column: Column, index: int, y: Callable[[float], float]) -> Trend | None:
    seen = {code: size for code in column.cells if (size := CC100.size(code))}
    if len(seen) < 3:
        return None
    xs = [math.log10(size) for size in seen.values()]
    ys = [column.cells[code].score for code in seen]
    slope, start = (float(value) for value in np.polyfit(xs, ys, 1))
    ends = [(x, start + slope * x) for x in (min(xs), max(xs))]
    path = "M" + "L".join(f"{_place(10**x)} {y(value)}" for x, value in ends)
    rho = rank_correlation(xs, ys)
    said = f"{slope:+.1f} points for ten times the text over {len(seen)} languages"
    return Trend(column.run, index, path, said + (f", rank correlation {rho:.2f}" if rho is not None else ""))


def x_of(code: str) -> float:
    size = CC100.size(code)
    return _place(size) if size else NONE_AT


def _place(size: float) -> float:
    low, high = math.log10(MARKS[0]), math.log10(400)
    return round(FIRST + (RIGHT - FIRST) * (math.log10(size) - low) / (high - low), 1)
