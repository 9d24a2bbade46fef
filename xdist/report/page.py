"""The report as one HTML file: no network, no script that it needs, readable without colour.

`templates/` holds the page, its style and a short script to sort and filter; this module gives them their values.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from xdist.formats.gold import NO_GOLD
from xdist.languages import GROUPS
from xdist.report import curves
from xdist.report.record import Record
from xdist.report.scores import ALL, SMALL, SUMMARY, ZERO_SHOT, Column, ScoreTable, family_of, group_of, name_of, size_of
from xdist.version import __version__

FLIP = 0.715  # where black and white read equally well on the scale of report.css, light and dark (a test measures it)
GROUP_MEANING = {
    "unseen": "no text of it in CC-100",
    "low": "under 5 GiB",
    "mid": "5 to under 50 GiB",
    "high": "50 GiB and more",
    "other": "size not listed",
}
ROW_MEANING = {
    **GROUP_MEANING,
    ZERO_SHOT: "every language but the ones the task was trained on",
    ALL: "the task's mean",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """Colours run from `low` to `high`, one scale for the whole page so that equal colours are equal scores."""

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
    present = [group for group in (*GROUPS, "other") if any(group_of(code) == group for code in scores.languages)]
    return {
        "title": title,
        "version": __version__,
        "written": written,
        "scores": scores,
        "tasks": _tasks(scores.columns),
        "groups": present,
        "summary": [row for row in SUMMARY if any(column.summary[row] for column in scores.columns)],
        "curves": curves,
        "scale": scale(cell.score for column in scores.columns for cell in column.cells.values()),
        "flip": FLIP,
        "small": SMALL,
        "no_gold": NO_GOLD,
        "group_meaning": GROUP_MEANING,
        "row_meaning": ROW_MEANING,
        "group_of": group_of,
        "family_of": _family,
        "run_word": "Run",
        "name_of": name_of,
        "size_of": size_of,
    }


def _family(code: str) -> str:
    return family_of(code).partition(":")[0]


def scale(scores: Iterable[float]) -> Scale:
    """The tens that enclose all scores."""
    numbers = list(scores) or [0.0]
    low = math.floor(min(numbers) / 10) * 10
    return Scale(low, max(math.ceil(max(numbers) / 10) * 10, low + 10))


def _tasks(columns: Sequence[Column]) -> list[tuple[Column, int]]:
    """(the first column of a task, how many runs have the task): the cells of the upper header row."""
    spans = (list(same) for _, same in groupby(columns, key=lambda c: (c.task, c.metric, c.split)))
    return [(same[0], len(same)) for same in spans]
