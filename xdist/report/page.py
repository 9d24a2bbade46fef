"""The report as one HTML file: no network, no script that it needs, readable without colour.

`templates/` holds the page, its style and a short script to sort and filter; this module gives them their values.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from xdist.formats.gold import NO_GOLD
from xdist.languages import EVERY_GROUP
from xdist.report import curves
from xdist.report.dots import dot_plots
from xdist.report.measured import HEADS, SAID
from xdist.report.naming import OTHER, family_of, name_of, script_of
from xdist.report.record import Record
from xdist.report.scores import ALL, HEAD_ROW, SMALL, TAIL_ROW, ZERO_SHOT, Column, ScoreTable
from xdist.version import __version__

WIDE = 10  # columns of scores that fit side by side
FLIP = 0.715  # where black and white read equally well on the scale of report.css, light and dark (a test measures it)
ROW_MEANING = {
    TAIL_ROW: "unseen and low",
    HEAD_ROW: "mid and high",
    ZERO_SHOT: "every language but the ones the task was trained on",
    ALL: "the task's mean",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """Colours run from `low` to `high`, a scale for each task, whose scores are comparable, and for each table of means."""

    low: float
    high: float

    def place(self, score: float) -> float:
        """0 … 1."""
        return round(min(1.0, max(0.0, (score - self.low) / (self.high - self.low))), 3)


def render(title: str, scores: ScoreTable, records: Sequence[Record], notes: Sequence[str], written: datetime) -> str:
    return template("report.html.j2").render(
        **context(title, scores, written), records=records, notes=list(notes), charts=curves.charts(records)
    )


def template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("xdist.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["family"] = _family
    return environment.get_template(name)


def context(title: str, scores: ScoreTable, written: datetime) -> dict[str, Any]:
    """What every page has: the tables of `scores` and what explains them."""
    present = [group for group in (*EVERY_GROUP, OTHER) if any(group in scores.groups(code) for code in scores.languages)]
    meaning = {group: scores.meaning(group) for group in present}
    return {
        "title": title,
        "version": __version__,
        "written": written,
        "scores": scores,
        "tasks": _tasks(scores.columns),
        "groups": present,
        "summary": scores.rows,
        "curves": curves,
        "dots": dot_plots(scores),
        "measure_heads": HEADS if scores.is_measured else (),
        "measure_said": SAID,
        "tasks_of": _tasks,
        "blocks": blocks(scores.columns),
        "scales": {
            (first.task, first.metric, first.split): scale(
                cell.score for column in scores.columns if _same_task(column, first) for cell in column.cells.values()
            )
            for first, _ in _tasks(scores.columns)
        },
        "flip": FLIP,
        "small": SMALL,
        "no_gold": NO_GOLD,
        "group_meaning": meaning,
        "row_meaning": {**meaning, **ROW_MEANING},
        "family_of": _family,
        "run_word": "Run",
        "script_of": script_of,
        "whole_family_of": family_of,
        "family_rank": _ranks(scores.languages, family_of),
        "script_rank": _ranks(scores.languages, script_of),
        "name_of": name_of,
    }


def _family(code: str) -> str:
    return family_of(code).partition(":")[0]


def _ranks(codes: Iterable[str], kind: Callable[[str], str]) -> dict[str, int]:
    """By family or script its place among them by name, which a table is sorted by."""
    return {name: place for place, name in enumerate(sorted(set(map(kind, codes))))}


def scale(scores: Iterable[float]) -> Scale:
    """The tens that enclose all scores."""
    numbers = list(scores) or [0.0]
    low = math.floor(min(numbers) / 10) * 10
    return Scale(low, max(math.ceil(max(numbers) / 10) * 10, low + 10))


def blocks(columns: Sequence[Column]) -> list[list[Column]]:
    """The columns in tables that fit a page, the runs of a task side by side: as many tasks in each as have room."""
    found: list[list[Column]] = [[]]
    for _, same in groupby(columns, key=lambda c: (c.task, c.metric, c.split)):
        of_task = list(same)
        if found[-1] and len(found[-1]) + len(of_task) > WIDE:
            found.append([])
        found[-1] += of_task
    return found


def _same_task(one: Column, other: Column) -> bool:
    return (one.task, one.metric, one.split) == (other.task, other.metric, other.split)


def _tasks(columns: Sequence[Column]) -> list[tuple[Column, int]]:
    """(the first column of a task, how many runs have the task): the cells of the upper header row."""
    spans = (list(same) for _, same in groupby(columns, key=lambda c: (c.task, c.metric, c.split)))
    return [(same[0], len(same)) for same in spans]
