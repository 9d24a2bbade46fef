"""Scores of one or more runs as a table: a column per (task, run), a row per language, means over resource groups.

Input is `<run>/scores.json` as the evaluation writes it; scores are in the unit of their metric (per cent for every
official one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from xdist.formats.gold import MOST, NO_GOLD, name_languages
from xdist.languages import CC100, EVERY_GROUP, HEAD, TAIL, UNKNOWN, Pretraining, without
from xdist.metrics import missing_metric
from xdist.report.measured import MUCH, Measured, add_counts
from xdist.report.naming import OTHER, group_of, size_of
from xdist.report.record import Record
from xdist.tasks.catalog.xglue import averages

SMALL = 200  # a test set below this many examples moves by several points by chance alone
ZERO_SHOT, ALL = "not trained on", "all languages"
TAIL_ROW, HEAD_ROW = "tail", "head"
SUMMARY = (TAIL_ROW, HEAD_ROW, *EVERY_GROUP, ZERO_SHOT, ALL)
MANY = 60  # languages: from this many on a report sums tail and head up, and draws families and scripts


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


def coverage(done: int, of: int, what: str = "languages") -> str:
    """What an incomplete mean is over: "1 of 2 languages"; empty for a complete one."""
    return f"{done} of {of} {what}" if done < of else ""


@dataclass(frozen=True, slots=True)
class Mean:
    """Unweighted mean over `languages` languages, of `of` that were predicted: the others have no gold."""

    score: float
    languages: int
    of: int

    @property
    def over(self) -> str:
        """Empty where it is complete."""
        return coverage(self.languages, self.of)


@dataclass(frozen=True, slots=True)
class Column:
    """One task of one run. `metric` names the number that is in the cells, `scored_by` what gave it (empty: not said).
    `mean` is the task's own, as the evaluation wrote it, None where no language has gold; the others are over languages.
    `blank` languages were predicted, but not scored, for want of gold; `collapsed`: a line for each value that all
    predictions of some languages are. `read`: what the encoder of the run has read, and the languages of running text
    since, `measured` by language how its tokenizer takes the texts. `selected_on`: languages whose dev sets chose the
    model, in addition to those that it was trained on; `how`: a line for each choice that makes other numbers than the
    default."""

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
    read: Pretraining = CC100
    read_since: tuple[str, ...] = ()
    measured: Mapping[str, Measured] = field(default_factory=dict)
    selected_on: tuple[str, ...] = ()
    how: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that were predicted."""
        return (*self.cells, *self.blank)

    @property
    def summary(self) -> dict[str, Mean | None]:
        """The rows of SUMMARY: a mean per resource group, over languages that the task was not trained on, nor chosen by,
        over all; of many languages the tail (unseen and low) and the head (the others that were read), too."""
        groups = {code: group_of(code, self.read) for code in self.languages}
        means = {group: self._over([code for code, its in groups.items() if its == group]) for group in EVERY_GROUP}
        for row, parts in ((TAIL_ROW, TAIL), (HEAD_ROW, HEAD)):
            of_row = [code for code, its in groups.items() if its in parts] if len(groups) >= MANY and self.read.sized else []
            means[row] = self._over(of_row)
        means[ZERO_SHOT] = self._over(without(self.languages, [*self.trained_on, *self.selected_on]))
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
        return f"{NO_GOLD}: {name_languages(self.blank)}" + (f"; means over: {', '.join(parts)}" if parts else "")


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
    def lists(self) -> tuple[Pretraining, ...]:
        """What the encoders of the runs have read; one for each that differs."""
        return tuple({column.read.name: column.read for column in self.columns}.values()) or (CC100,)

    def groups(self, code: str) -> tuple[str, ...]:
        """The resource groups of a language: one, or several where the encoders of the runs have read differently."""
        return tuple(dict.fromkeys(group_of(code, read) for read in self.lists))

    def size(self, code: str) -> str:
        """As printed."""
        return "/".join(dict.fromkeys(size_of(code, read) for read in self.lists))

    @property
    def unit(self) -> str:
        """Of `size`: the head of its column."""
        return "/".join(dict.fromkeys(read.unit for read in self.lists if read.sized)) or "read"

    def meaning(self, group: str) -> str:
        """What a group is, in a few words; by each list."""
        if group == OTHER:
            return "size not listed"
        return "; ".join(dict.fromkeys(read.meaning(group) for read in self.lists if read.known or group == UNKNOWN))

    @property
    def read_by(self) -> str:
        """The titles of the lists."""
        return " / ".join(read.title for read in self.lists)

    @property
    def said(self) -> list[str]:
        """What groups and sizes rest on, a sentence for each list, and for each run whose encoder has read more since."""
        since = {column.run: column.read_since for column in self.columns if column.read_since}
        return [
            (f"{', '.join(dict.fromkeys(c.run for c in self.columns if c.read == read))}: " if len(self.lists) > 1 else "")
            + read.said
            for read in self.lists
        ] + [
            f"The encoder of {run} was then trained on running text in {name_languages(codes)}, "
            "which these groups do not count."
            for run, codes in since.items()
        ]

    def measured(self, code: str) -> tuple[Measured, ...]:
        """How the tokenizers of the runs take a language over all its test sets; one for each that differs."""
        by_run: dict[str, list[Measured]] = {}
        for column in self.columns:
            if code in column.measured:
                by_run.setdefault(column.run, []).append(column.measured[code])
        return tuple(dict.fromkeys(total for parts in by_run.values() if (total := add_counts(parts))))

    def measures(self, code: str) -> list[str]:
        """The three figures of a language as printed, of several tokenizers next to each other."""
        shown = [measure.shown for measure in self.measured(code)]
        return ["/".join(dict.fromkeys(values)) for values in zip(*shown, strict=True)] if shown else ["–"] * 3

    @property
    def is_measured(self) -> bool:
        return any(column.measured for column in self.columns)

    @property
    def little_known(self) -> str:
        """The languages with many unknown pieces, the worst first; empty where there are none."""
        shares = {
            code: max((measured.unknown_share for measured in self.measured(code)), default=0.0) for code in self.languages
        }
        worst = sorted((code for code, share in shares.items() if share >= MUCH), key=lambda code: -shares[code])
        more = f" and {len(worst) - MOST} more" if len(worst) > MOST else ""
        return ", ".join(f"{code} {shares[code]:.0f} %" for code in worst[:MOST]) + more

    @property
    def rows(self) -> list[str]:
        """The rows of SUMMARY that any column has a mean of."""
        return [row for row in SUMMARY if any(column.summary[row] for column in self.columns)]

    @property
    def many(self) -> bool:
        """Whether there are this many languages that a table of them all is no overview."""
        return len(self.languages) >= MANY

    @property
    def unknown(self) -> list[str]:
        """A line on each task whose metric is not registered here: nothing but what its scores say is known of it."""
        found = {column.task: missing_metric(column.scored_by) for column in self.columns if column.scored_by}
        return [f"{task}: {reason}; its scores are shown as they were written" for task, reason in found.items() if reason]

    def label(self, column: Column) -> str:
        return column.task if len(self.runs) == 1 else f"{column.task} / {column.run}"

    @property
    def remarks(self) -> list[str]:
        """A line for each column with languages that have no gold, and for each value that all predictions of some are."""
        blank = [f"{self.label(column)}: {column.remark}" for column in self.columns if column.blank]
        several = len(self.runs) > 1
        how = [f"{self.label(column)}: {line}" for column in self.columns for line in column.how]
        alike = [f"{c.run}: {line}" if several else line for c in self.columns for line in c.collapsed]
        return blank + alike + how + self._of_xglue

    @property
    def _of_xglue(self) -> list[str]:
        """The means of XGLUE of each run and split that has a task of it."""
        lines = []
        for run, split in dict.fromkeys((column.run, column.split) for column in self.columns):
            mine = [column for column in self.columns if (column.run, column.split) == (run, split)]
            scores = {column.task: {code: cell.metrics for code, cell in column.cells.items()} for column in mine}
            if found := averages(scores):
                where = f"{run}: " if len(self.runs) > 1 else ""
                lines.append(f"{where}XGLUE, {split}: {', '.join(f'{name} {one}' for name, one in found.items())}")
        return lines
