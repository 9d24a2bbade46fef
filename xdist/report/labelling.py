"""What labelling gains: the score in languages of which a study trains on more and more examples, compared with zero-shot.

A curve is of one task and the languages that are labelled together, along conditions that train on the same otherwise. Which
sentences are labelled changes with the seed, so seeds spread by more the fewer there are: each interval knows the spread of its
own seeds alone, where the rest of the report assumes that of all conditions to be equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from xdist.languages import by_size, find_language
from xdist.metrics.pooled import pooled_interval
from xdist.metrics.significance import Interval, holm
from xdist.report.comparison import difference_shown
from xdist.report.numbers import limits, signed
from xdist.report.results import Condition, Labelled, Results, TaskResult

FEW = 4  # languages that are named


@dataclass(frozen=True, slots=True)
class Gain:
    """The mean `score` over `languages` languages and all seeds, and by how much it is above that of the fewest examples, on
    the seeds that both have: `interval` and `p`, corrected for the points of the curve after Holm; None at its beginning."""

    score: float
    languages: int
    interval: Interval | None = None
    p: float | None = None

    @property
    def shown(self) -> bool:
        return self.interval is not None and self.p is not None and difference_shown(self.interval, self.p)


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """A condition that trains on `rows` examples of each labelled language: the score there, and in the `others`, which no
    condition trains on; None where there are none."""

    condition: str
    rows: int
    seeds: int
    labelled: Gain
    others: Gain | None


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """`series`: what its conditions have in common; empty where there is nothing else. `points` from few to many rows."""

    task: str
    metric: str
    languages: tuple[str, ...]
    series: str
    points: tuple[LearningPoint, ...]

    @property
    def name(self) -> str:
        """The languages by name and code, or how many they are, and what else the series is."""
        few = ", ".join(f"{language.name} ({code})" if (language := find_language(code)) else code for code in self.languages)
        languages = few if len(self.languages) <= FEW else f"{len(self.languages)} languages"
        return "; ".join(part for part in (languages, self.series) if part)

    @property
    def fewest(self) -> str:
        """What the points are compared with."""
        rows = self.points[0].rows
        return f"{rows:,} examples" if rows else "zero-shot"


def learning_curves(results: Results) -> list[LearningCurve]:
    """One for each task, languages and values of other axes for which two numbers of examples or more were trained on."""
    curves = []
    for task in results.tasks:
        units = dict.fromkeys(
            labelled.languages
            for condition in results.conditions
            for labelled in condition.labelled
            if _chosen(labelled, task.name)
        )
        for unit in units:
            for series, members in _series(results.conditions, task.name, unit).items():
                points = [labelled for rows, name in sorted(members.items()) if (labelled := _point(task, unit, name, rows))]
                if len(points) > 1:
                    curve = LearningCurve(task.name, task.metric.headline, unit, series, tuple(points))
                    curves.append(_with_intervals(curve, task))
    return curves


def _chosen(labelled: Labelled, task: str) -> bool:
    return labelled.task == task and labelled.rows is not None


def _rows(condition: Condition, task: str, unit: tuple[str, ...]) -> int | None:
    """Examples of the `unit` languages that a condition trains on; None where that is all."""
    mine = [labelled.rows for labelled in condition.labelled if labelled.task == task and labelled.languages == unit]
    return mine[0] if mine else 0


def _series(conditions: Sequence[Condition], task: str, unit: tuple[str, ...]) -> dict[str, dict[int, str]]:
    """By what they have in common, the first condition of each number of rows."""
    rows = {condition.name: _rows(condition, task, unit) for condition in conditions}
    axes = list(conditions[0].values) if conditions else []

    def differ(axis: str) -> bool:
        by_rest: dict[tuple[str, ...], set[int | None]] = {}
        for one in conditions:
            by_rest.setdefault(tuple(one.values[other] for other in axes if other != axis), set()).add(rows[one.name])
        return any(len(numbers) > 1 for numbers in by_rest.values())

    common = [axis for axis in axes if not differ(axis) and len({condition.values[axis] for condition in conditions}) > 1]
    alike: dict[tuple[str, frozenset[Labelled]], dict[int, str]] = {}
    for condition in conditions:
        elsewhere = frozenset(entry for entry in condition.labelled if entry.task == task and entry.languages != unit)
        count = rows[condition.name]
        if count is not None:
            name = ", ".join(f"{axis}: {condition.values[axis]}" for axis in common)
            alike.setdefault((name, elsewhere), {}).setdefault(count, condition.name)
    named: dict[str, dict[int, str]] = {}
    for (name, _), members in alike.items():
        if any(members) and len(members) > len(named.get(name, {})):
            named[name] = members
    return named


def _point(task: TaskResult, unit: Sequence[str], condition: str, rows: int) -> LearningPoint | None:
    """None where the condition has no score of these languages."""
    labelled = _gain(task, condition, [code for code in unit if code in task.replicated.languages])
    other_gain = _gain(task, condition, _untrained_languages(task))
    return LearningPoint(condition, rows, len(task.seeds(condition)), labelled, other_gain) if labelled else None


def _untrained_languages(task: TaskResult) -> list[str]:
    return by_size(code for code in task.replicated.languages if code not in task.trained_on)


def _gain(task: TaskResult, condition: str, languages: Sequence[str]) -> Gain | None:
    runs = [run for (name, _), run in task.scores.items() if name == condition]
    scores = [[run[code][task.metric.headline] for code in languages if code in run] for run in runs]
    return Gain(fmean(map(fmean, scores)), len(languages)) if scores and all(scores) else None


def _with_intervals(curve: LearningCurve, task: TaskResult) -> LearningCurve:
    """The curve with the interval of each point's difference from the first."""
    first, *later = curve.points
    sides: Mapping[str, tuple[Sequence[str], bool]] = {
        "labelled": (curve.languages, False),
        "others": (_untrained_languages(task), True),
    }
    changed: dict[str, dict[str, Gain]] = {point.condition: {} for point in later}
    for side, (languages, sample) in sides.items():
        intervals = {
            point.condition: pooled_interval([difference], sample)
            for point in later
            if (difference := task.differences(point.condition, first.condition, languages))
        }
        corrected = holm({name: point.p for name, point in intervals.items()})
        for point in later:
            gain: Gain | None = getattr(point, side)
            if gain and point.condition in intervals:
                changed[point.condition][side] = replace(
                    gain, interval=intervals[point.condition], p=corrected[point.condition]
                )
    points = [replace(point, **changed[point.condition]) for point in later]  # type: ignore[arg-type]
    return replace(curve, points=(first, *points))


def labelling_sentence(curve: LearningCurve) -> str:
    """A sentence on the labelled languages that claims no more than the numbers."""
    first, *later = curve.points
    parts = []
    for point in later:
        gain, what = point.labelled, f"{point.rows:,} examples"
        if gain.interval is None:
            continue
        interval = f"95 % interval {limits(gain.interval)}"
        change = gain.interval.difference
        if gain.shown:
            better = "better" if change > 0 else "worse"
            parts.append(f"{what} are {better} than {curve.fewest} by {abs(change):.1f} points ({interval})")
        else:
            parts.append(f"of {what} no difference from {curve.fewest} could be shown ({signed(change)} points, {interval})")
    begins = f"{curve.task} in {curve.name}: {first.labelled.score:.1f} with {curve.fewest}"
    return "; ".join([begins, *parts]) + "."
