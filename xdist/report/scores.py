"""Scores of one or more runs as a table: a column per (task, run), a row per language, means over resource groups.

Input is `<run>/scores.json` as the evaluation writes it; scores are in the unit of their metric (per cent for every
official one).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from statistics import fmean
from typing import Any

from xdist.errors import UserError
from xdist.formats.gold import NO_GOLD, named
from xdist.languages import CC100, GROUPS, UNKNOWN, by_size, found
from xdist.metrics import missing
from xdist.report.record import Record, read_record
from xdist.run.recorded import parsed, recorded_text
from xdist.tasks.collapse import said_of_collapse

SMALL = 200  # a test set below this many examples moves by several points by chance alone
ZERO_SHOT, ALL = "not trained on", "all languages"
SUMMARY = (*GROUPS, ZERO_SHOT, ALL)


@dataclass(frozen=True, slots=True)
class Cell:
    """One language of one column. `score` is the column's own metric, `metrics` all that were written."""

    score: float
    count: int
    metrics: Mapping[str, float]
    trained: bool

    @property
    def small(self) -> bool:
        return self.count < SMALL


def over(done: int, of: int, what: str = "languages") -> str:
    """What a mean that is not whole is over: "1 of 2 languages"; empty for one that is."""
    return f"{done} of {of} {what}" if done < of else ""


@dataclass(frozen=True, slots=True)
class Mean:
    """Unweighted mean over `languages` languages, of `of` that were predicted: the others have no gold."""

    score: float
    languages: int
    of: int

    @property
    def over(self) -> str:
        """Empty where it is whole."""
        return over(self.languages, self.of)


@dataclass(frozen=True, slots=True)
class Column:
    """One task of one run. `metric` names the number that stands in the cells, `scored_by` what gave it (empty: not said).
    `mean` is the task's own, as the evaluation wrote it, None where no language has gold; the others are over languages.
    `blank` languages were predicted, but not scored, for want of gold; `collapsed`: a line for each value that all predictions
    of some languages are."""

    run: str
    task: str
    family: str
    metric: str
    split: str
    trained_on: tuple[str, ...]
    cells: Mapping[str, Cell]
    mean: float | None
    scored_by: str = ""
    percent: bool = True
    blank: tuple[str, ...] = ()
    collapsed: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that were predicted."""
        return (*self.cells, *self.blank)

    @property
    def summary(self) -> dict[str, Mean | None]:
        """The rows of SUMMARY: a mean per resource group, over languages that the task was not trained on, over all."""
        means = {group: self._over([code for code in self.languages if group_of(code) == group]) for group in GROUPS}
        means[ZERO_SHOT] = self._over([code for code in self.languages if code not in self.trained_on])
        means[ALL] = Mean(self.mean, len(self.cells), len(self.languages)) if self.mean is not None else None
        return means

    def _over(self, codes: Sequence[str]) -> Mean | None:
        scores = [self.cells[code].score for code in codes if code in self.cells]
        return Mean(fmean(scores), len(scores), len(codes)) if scores else None

    @property
    def all_small(self) -> bool:
        return bool(self.cells) and all(cell.small for cell in self.cells.values())

    @property
    def remark(self) -> str:
        """Which languages have no gold, and what the means are then over; empty where all have."""
        if not self.blank:
            return ""
        parts = [f"{row} {mean.over}" for row, mean in self.summary.items() if mean and mean.over]
        return f"{NO_GOLD}: {named(self.blank)}" + (f"; means over: {', '.join(parts)}" if parts else "")


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Columns with the runs of one task side by side; languages from least to most pre-training text. `records` are of the
    runs; `left_out` says of other folders why they are not among them, a line each."""

    runs: tuple[str, ...]
    columns: tuple[Column, ...]
    languages: tuple[str, ...]
    records: tuple[Record, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def unknown(self) -> list[str]:
        """A line on each task whose metric is not registered here: nothing but what its scores say is known of it."""
        found = {column.task: missing(column.scored_by) for column in self.columns if column.scored_by}
        return [f"{task}: {reason}; its scores stand as they were written" for task, reason in found.items() if reason]

    def label(self, column: Column) -> str:
        return column.task if len(self.runs) == 1 else f"{column.task} / {column.run}"

    @property
    def remarks(self) -> list[str]:
        """A line for each column with languages that have no gold, and for each value that all predictions of some are."""
        blank = [f"{self.label(column)}: {column.remark}" for column in self.columns if column.blank]
        several = len(self.runs) > 1
        return blank + [f"{c.run}: {line}" if several else line for c in self.columns for line in c.collapsed]


def group_of(code: str) -> str:
    """The resource group; 'other' where the size of its pre-training text is not known (a mixed pair, a code of one's own)."""
    found = CC100.group(code)
    return "other" if found == UNKNOWN else found


def name_of(code: str) -> str:
    one = found(code)
    return one.name if one else code


def family_of(code: str) -> str:
    one = found(code)
    return one.family if one else "not listed"


def script_of(code: str) -> str:
    one = found(code)
    return one.script_name if one else "not listed"


def size_of(code: str) -> str:
    """GiB of pre-training text as printed, '?' where it is not known."""
    size = CC100.size(code)
    return "?" if size is None else f"{size:g}"


def read_scores(runs: Sequence[Path]) -> ScoreTable:
    """The scores and records of these run folders. One that cannot be read hides no other. Raises UserError naming file and key
    where none can, and for two runs of one name."""
    if not runs:
        raise UserError("no run to report on: name at least one run folder")
    named: dict[str, list[Column]] = {}
    records: list[Record] = []
    wrong: list[UserError] = []
    for run in runs:
        try:
            name, columns = _read(run / "scores.json")
            record = read_record(run, name)
        except UserError as error:
            wrong.append(error)
            continue
        if name in named:
            raise UserError(f"{run / 'scores.json'}: run: a second run named '{name}'; each run of a report needs its own name")
        named[name] = columns
        records.append(record)
    if not named:
        raise wrong[0]
    columns = [column for columns in named.values() for column in columns]
    tasks = list(dict.fromkeys((column.task, column.metric, column.split) for column in columns))
    columns.sort(key=lambda column: tasks.index((column.task, column.metric, column.split)))
    languages = by_size({code for column in columns for code in column.languages})
    return ScoreTable(tuple(named), tuple(columns), tuple(languages), tuple(records), tuple(map(str, wrong)))


def _read(file: Path) -> tuple[str, list[Column]]:
    if not file.exists():
        raise UserError(f"{file}: no such file; a run has scores once it has been evaluated")
    content = parsed(recorded_text(file), file)
    at = _At(file)
    run = at.get(content, "run", str)
    tasks = at.get(content, "tasks", dict)
    if not tasks:
        raise UserError(f"{file}: tasks: no task was scored")
    return run, [_column(at.down("tasks").down(task), run, task, value) for task, value in tasks.items()]


def _column(at: "_At", run: str, task: str, value: Any) -> Column:
    metric = at.get(value, "metric", str)
    trained_on = tuple(at.get(value, "trained_on", list, default=[]))
    languages = at.get(value, "languages", dict)
    if not languages:
        raise UserError(f"{at}.languages: no language was scored")
    cells, blank = {}, []
    for code, numbers in languages.items():
        here = at.down("languages").down(code)
        if isinstance(numbers, dict) and set(numbers) == {"count"}:
            blank.append(code)
            continue
        score, count = here.number(numbers, metric), here.get(numbers, "count", int)
        metrics = {name: here.number(numbers, name) for name in numbers if name != "count"}
        cells[code] = Cell(score, count, metrics, code in trained_on)
    mean = at.down("mean").number(at.get(value, "mean", dict), metric) if cells else None
    family, split = at.get(value, "family", str), at.get(value, "split", str, default="")
    scored_by = at.get(value, "scored_by", str, default="")
    alike = tuple(said_of_collapse(task, {"collapsed": _alike(at, value)}))
    return Column(run, task, family, metric, split, trained_on, cells, mean, scored_by, blank=tuple(blank), collapsed=alike)


def _alike(at: "_At", value: Any) -> dict[str, Any]:
    found: dict[str, Any] = at.get(value, "collapsed", dict, default={})
    for code, one in found.items():
        here = at.down("collapsed").down(code)
        here.get(one, "predictions", int)
        here.get(one, "are", str)
    return found


_KINDS = {str: "a text", int: "a whole number", (int, float): "a number", list: "a list", dict: "a mapping"}


@dataclass(frozen=True, slots=True)
class _At:
    """A place in a file, for errors: `runs/a/scores.json: tasks.xquad.languages`."""

    file: Path
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {'.'.join(self.keys)}" if self.keys else str(self.file)

    def down(self, key: str) -> "_At":
        return _At(self.file, (*self.keys, key))

    def get(self, mapping: Any, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """`mapping[key]`, which must be of `kind`; required unless a default is given."""
        if not isinstance(mapping, dict):
            raise UserError(f"{self}: expected a mapping, found {json.dumps(mapping)[:40]}")
        if key not in mapping and default is None:
            raise UserError(f"{self.down(key)}: missing{_near(key, mapping)}")
        value = mapping.get(key, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"{self.down(key)}: expected {_KINDS[kind]}, found {json.dumps(value)[:40]}")
        return value

    def number(self, mapping: Any, key: str) -> float:
        """`mapping[key]` as a finite number."""
        value = self.get(mapping, key, (int, float))
        if not math.isfinite(value):
            raise UserError(f"{self.down(key)}: not a finite number")
        return float(value)


def _near(key: str, present: Iterable[str]) -> str:
    close = get_close_matches(key, list(present), n=1, cutoff=0.5)
    return f"; is '{close[0]}' meant?" if close else f" (present: {', '.join(sorted(present))})"
