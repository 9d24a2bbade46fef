"""What a report on several conditions is made from: who was compared with whom, on what, and what each run cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from xdist.config.extra_rows import ExtraRow
from xdist.formats.gold import NO_GOLD, name_languages
from xdist.languages import CC100, Pretraining, are_pairs, by_size
from xdist.metrics import Metric
from xdist.metrics.pooled import Differences, Replicated
from xdist.report.asked import WhatWasRun
from xdist.report.measured import Measured
from xdist.report.record import Record
from xdist.report.scores import Cell, Column, ScoreTable, coverage

System = tuple[str, int]
"""(condition, seed)."""
Numbers = Mapping[str, Mapping[str, float]]
"""By language (or pair of languages) the metrics of a task, and `count`."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Languages of a task, by its own codes, that are trained on together, and how many examples of each; None: all."""

    task: str
    languages: tuple[str, ...]
    rows: int | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to train. `against`: the condition that it is compared with, None for such a one itself; `seeds` that were
    planned; `seen`: languages that any of its stages trained on; `labelled`: what they trained on; `needs`: the data that it
    needs besides labelled English; `cost`: what making it took."""

    name: str
    against: str | None
    values: Mapping[str, str]
    seeds: tuple[int, ...]
    seen: tuple[str, ...]
    labelled: tuple[Labelled, ...] = ()
    needs: str = ""
    cost: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """`scores` of every (condition, seed) that has predictions, of a language without gold its count alone; `trained_on` the
    languages that the task was trained on in any; `collapsed`: a line on each system whose predictions are all the same;
    `read`: by condition what its encoder has read, `read_since` in which languages since, `measured` by condition and
    language how its tokenizer takes the texts; `guesses` by kind of guess and language what that scores."""

    name: str
    family: str
    metric: Metric
    split: str
    trained_on: tuple[str, ...]
    scores: Mapping[System, Numbers]
    replicated: Replicated
    collapsed: tuple[str, ...] = ()
    read: Mapping[str, Pretraining] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Measured]] = field(default_factory=dict)
    read_since: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    guesses: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def languages(self) -> list[str]:
        """Those that any system predicted."""
        return by_size({code for run in self.scores.values() for code in run})

    @property
    def blank(self) -> list[str]:
        """Languages that a system predicted, but did not score, for want of gold."""
        runs = self.scores.values()
        return by_size({code for run in runs for code, values in run.items() if self.metric.headline not in values})

    @property
    def scored(self) -> bool:
        """Whether any system has a score of any language."""
        return any(self.scored_languages(*system) for system in self.scores)

    @property
    def of_pairs(self) -> bool:
        return are_pairs(self.languages)

    @property
    def size(self) -> str:
        """Of how many languages or pairs there is a score."""
        count, what = len(self.languages), "pairs" if self.of_pairs else "languages"
        return coverage(len(self.replicated.languages), count, what) or f"{count} {what}"

    def seeds(self, condition: str) -> list[int]:
        """Those with a score."""
        return [seed for name, seed in self.scores if name == condition and self.scored_languages(name, seed)]

    def scored_languages(self, condition: str, seed: int) -> list[str]:
        scores = self.scores.get((condition, seed), {})
        return [code for code, values in scores.items() if self.metric.headline in values]

    def seed_mean(self, condition: str, seed: int) -> float:
        """The mean over all languages that have a score."""
        codes = self.scored_languages(condition, seed)
        return fmean(self.scores[condition, seed][code][self.metric.headline] for code in codes)

    def differences(
        self, a: str, b: str, languages: Sequence[str] | None = None, seeds: Sequence[int] | None = None
    ) -> Differences | None:
        """A - B seed by seed, over the seeds that both have (or `seeds`), more being better: B - A where less is better by the
        metric. None where there is nothing to compare."""
        common = [seed for seed in self.seeds(a) if seed in self.seeds(b)] if seeds is None else list(seeds)
        systems = [[(name, seed) for seed in common] for name in (a, b)]
        codes = self.replicated.languages if languages is None else languages
        first, second = systems[:: self.metric.sign]  # turned round where less is better
        return self.replicated.differences(first, second, codes)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run behind the results: `state` and `reason` as in a study's status; `hours` of all ranks together, where logged."""

    name: str
    stage: str
    state: str
    reason: str
    seed: int
    step: int
    steps: int | None
    record: Record

    @property
    def hours(self) -> float | None:
        spent = self.record.metrics.get("train/rank_seconds")
        return sum(value for _, value in spent) / 3600 if spent else None

    @property
    def tokens_per_second(self) -> float | None:
        speed = self.record.metrics.get("train/tokens_per_second")
        return fmean(value for _, value in speed) if speed else None


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """What others have published of a condition, or of its difference from another one: a mean over `languages` in points."""

    condition: str
    against: str | None
    task: str
    languages: str | tuple[str, ...]
    value: float
    spread: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Results:
    """`left_out`: a line on each task that is not among `tasks` though it has scores; `asked`: what was run; `extra`: rows of
    others, which nothing is tested with; `not_learnt`: why, by condition, of those of which a run did not reach what its stage
    asks (`learns`). `missing` says, a line each, what is left out of all or some of the report, or has no gold."""

    title: str
    conditions: tuple[Condition, ...]
    tasks: tuple[TaskResult, ...]
    runs: tuple[RunFacts, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    asked: WhatWasRun | None = None
    extra: tuple[ExtraRow, ...] = ()
    not_learnt: Mapping[str, str] = field(default_factory=dict)
    published: tuple[PublishedFigure, ...] = ()

    @property
    def preliminary(self) -> str:
        """How many runs are missing; empty where all have finished."""
        missing = sum(run.state != "finished" for run in self.runs)
        return f"Preliminary: {missing} of {len(self.runs)} runs are missing." if missing else ""

    @property
    def compared(self) -> list[tuple[Condition, str]]:
        """Conditions that are compared, each with the name of the other: not those that have not learnt."""
        pairs = [(condition, condition.against) for condition in self.conditions if condition.against is not None]
        return [
            (condition, baseline) for condition, baseline in pairs if not {condition.name, baseline} & self.not_learnt.keys()
        ]

    @property
    def read(self) -> Pretraining:
        """What the encoder of the first condition, a baseline, has read: groups of differences are those of its list."""
        return next(
            (read for condition in self.conditions for task in self.tasks if (read := task.read.get(condition.name))), CC100
        )

    @property
    def averaged(self) -> tuple[TaskResult, ...]:
        """The tasks that a mean over tasks is of: those in per cent, or all where none is."""
        return tuple(task for task in self.tasks if task.metric.percent) or self.tasks

    @property
    def one_seed(self) -> bool:
        """Whether no condition was trained more than once."""
        return all(len(task.seeds(condition.name)) < 2 for task in self.tasks for condition in self.conditions)

    @property
    def missing(self) -> list[str]:
        lines = list(self.left_out)
        lines += [f"{task.name}: {NO_GOLD}: {name_languages(task.blank)}" for task in self.tasks if task.blank]
        lines += [line for task in self.tasks for line in task.collapsed]
        other_lists = {name: read.title for task in self.tasks for name, read in task.read.items() if read != self.read}
        for name, title in other_lists.items():
            lines.append(f"{name}: its encoder has read {title}; groups of differences are those of {self.read.title}")
        for task in self.tasks:
            if task not in self.averaged:
                lines.append(f"{task.name}: its metric is not in per cent, so it is in no mean over tasks")
        scored = [task for task in self.tasks if task.scored]
        for condition in self.conditions:
            if not any(name == condition.name for task in self.tasks for name, _ in task.scores):
                lines.append(f"{condition.name}: no scores")
                continue
            for task in scored:
                have = task.seeds(condition.name)
                absent = ", ".join(str(seed) for seed in condition.seeds if seed not in have)
                if absent:
                    lines.append(f"{condition.name}: no scores of {task.name}" + (f" with seed {absent}" if have else ""))
        return lines


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; None for the spread of one value."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def as_scores(results: Results) -> ScoreTable:
    """The scores of tasks in single languages as the tables of a report have them: a column per task and condition, each cell
    the mean over seeds."""
    columns = []
    for task in results.tasks:
        if task.of_pairs:
            continue
        for condition in results.conditions:
            runs = [run for (name, _), run in task.scores.items() if name == condition.name]
            if runs and (column := _column(task, condition.name, runs)):
                columns.append(column)
    names = tuple(dict.fromkeys(column.run for column in columns))
    languages = by_size({code for column in columns for code in column.languages}, results.read)
    return ScoreTable(names, tuple(columns), tuple(languages))


def _column(task: TaskResult, condition: str, runs: Sequence[Numbers]) -> Column | None:
    """None where no language was predicted with every seed. One that has gold with some of them alone is blank."""
    cells, blank, headline = {}, [], task.metric.headline
    for code in by_size(set.intersection(*(set(run) for run in runs))):
        column = [run[code] for run in runs]
        if all(headline in values for values in column):
            metrics = {name: fmean(values[name] for values in column) for name in column[0] if name != "count"}
            cells[code] = Cell(metrics[headline], int(column[0]["count"]), metrics, code in task.trained_on)
        else:
            blank.append(code)
    if not cells and not blank:
        return None
    mean = fmean(cell.score for cell in cells.values()) if cells else None
    about = (task.name, task.family, headline, task.split, task.trained_on)
    read, measured = task.read.get(condition, CC100), task.measured.get(condition, {})
    since = task.read_since.get(condition, ())
    scored = (cells, mean, task.metric.name, task.metric.percent, tuple(blank))
    return Column(condition, *about, *scored, read=read, read_since=since, measured=measured)
