"""Many languages at a glance: a row for each family or script, a dot for each of its languages, at its score."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

from xdist.report.curves import Axis, Tick, ticks
from xdist.report.naming import family_of, group_of, name_of, script_of
from xdist.report.scores import MANY, Column, ScoreTable

FEWEST = 2  # languages of a row; families and scripts of fewer share the last one
REST = "one language each"


@dataclass(frozen=True, slots=True)
class LanguageDot:
    """`at`: its place in per cent of the width."""

    at: float
    group: str
    said: str


@dataclass(frozen=True, slots=True)
class DotRow:
    """`mean` is the mean score of its languages, `mean_at` its place."""

    name: str
    dots: tuple[LanguageDot, ...]
    mean: float
    mean_at: float


@dataclass(frozen=True, slots=True)
class DotPlot:
    """Of one column of scores: `kind` is what the rows are of, "family" or "script"."""

    kind: str
    column: Column
    rows: tuple[DotRow, ...]
    ticks: tuple[Tick, ...]


def dot_plots(scores: ScoreTable) -> list[DotPlot]:
    """Two for each task with many languages, of the first run that has it."""
    first: dict[str, Column] = {}
    for column in scores.columns:
        first.setdefault(column.task, column)
    return [plot for column in first.values() if len(column.cells) >= MANY for plot in _plots(column)]


def _plots(column: Column) -> Iterator[DotPlot]:
    marks = ticks(min(cell.score for cell in column.cells.values()), max(cell.score for cell in column.cells.values()))
    axis = Axis(marks[0], marks[-1])
    shown = tuple(Tick(axis.at(mark), f"{mark:g}") for mark in marks)
    for kind, of in (("family", family_of), ("script", script_of)):
        yield DotPlot(kind, column, tuple(_rows(column, of, axis)), shown)


def _rows(column: Column, kind: Callable[[str], str], axis: Axis) -> Iterator[DotRow]:
    """From the highest mean to the lowest; what has too few languages for its own row comes last."""
    members: dict[str, list[str]] = {}
    for code in column.cells:
        members.setdefault(kind(code), []).append(code)
    rest = [code for codes in members.values() if len(codes) < FEWEST for code in codes]
    rows = [_row(column, name, codes, axis) for name, codes in members.items() if len(codes) >= FEWEST]
    yield from sorted(rows, key=lambda row: -row.mean)
    if rest:
        yield _row(column, REST, rest, axis, kind)


def _row(column: Column, name: str, codes: list[str], axis: Axis, kind: Callable[[str], str] | None = None) -> DotRow:
    dots = []
    for code in codes:
        score = column.cells[code].score
        of = f", {kind(code)}" if kind else ""
        dots.append(LanguageDot(axis.at(score), group_of(code, column.read), f"{name_of(code)} {code}{of}: {score:.1f}"))
    mean = fmean(column.cells[code].score for code in codes)
    return DotRow(name, tuple(dots), mean, axis.at(mean))
