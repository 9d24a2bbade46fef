"""Tasks and their average, a row per condition: mean and standard deviation over seeds, the best marked only where it is
known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from xdist.metrics import metric
from xdist.metrics.average import Variant, benchmark
from xdist.metrics.pooled import Differences, pooled_interval
from xdist.metrics.significance import holm
from xdist.report.answer import spread_of
from xdist.report.comparison import LEVEL
from xdist.report.results import Condition, Results, TaskResult, mean_and_spread
from xdist.report.scores import coverage
from xdist.tasks.catalog import TASKS, XTREME_R
from xdist.tasks.catalog.xglue import UNDERSTANDING


@dataclass(frozen=True, slots=True)
class Score:
    """Mean over `seeds` and its standard deviation over them; `best`: better than each other condition after Holm; `over`: of a
    mean that is incomplete, how many of its languages or tasks it is over."""

    mean: float
    spread: float | None
    seeds: int
    best: bool = False
    over: str = ""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """`tasks` by name; `average` is the official one of the benchmark that they are of (`OFFICIAL`), None where some of its
    tasks are missing: then `done` says how many are complete. `mean` is over the tasks that have gold; `needs` and `cost`
    as of its Condition."""

    condition: str
    tasks: Mapping[str, Score]
    average: Score | None
    done: str
    mean: Score | None
    needs: str = ""
    cost: str = ""


@dataclass(frozen=True, slots=True)
class OfficialMean:
    """A mean over tasks that is published under a name."""

    name: str
    tasks: tuple[str, ...]
    variant: Variant


OFFICIAL = (OfficialMean("XTREME-R", XTREME_R, "official"), OfficialMean("XGLUE", UNDERSTANDING, "f1"))


def official_mean(names: Iterable[str]) -> OfficialMean | None:
    """The first that any of these tasks counts in."""
    present = set(names)
    return next((average for average in OFFICIAL if present & set(average.tasks)), None)


def task_rows(results: Results) -> list[TaskRow]:
    scored, averaged = ([task for task in of if task.scored] for of in (results.tasks, results.averaged))
    best = {task.name: _best({name: [task] for name in _scored_conditions(results, [task])}, results) for task in scored}
    whole = dict.fromkeys(_scored_conditions(results, averaged), averaged) if averaged else {}
    best_mean = _best(whole, results)
    rows = []
    for condition in results.conditions:
        scores = {
            task.name: _score(
                [task.seed_mean(condition.name, seed) for seed in seeds],
                best[task.name] == condition.name,
                _coverage_text(task, condition),
            )
            for task in scored
            if (seeds := task.seeds(condition.name))
        }
        if not scores and not any(name == condition.name for task in results.tasks for name, _ in task.scores):
            continue
        averages = [_average(results.tasks, condition.name, seed) for seed in condition.seeds]
        complete = [value for value, _ in averages if value is not None]
        common = [seed for seed in condition.seeds if averaged and all(seed in task.seeds(condition.name) for task in averaged)]
        means = [sum(task.seed_mean(condition.name, seed) for task in averaged) / len(averaged) for seed in common]
        is_best = best_mean == condition.name
        average = _score(complete, is_best) if complete else None
        parts = [scores[task.name] for task in averaged if task.name in scores]
        counts = (
            coverage(len(averaged), len(results.averaged), "tasks"),
            coverage(sum(not p.over for p in parts), len(parts), "whole"),
        )
        said = "; ".join(filter(None, counts))
        rows.append(
            TaskRow(
                *(condition.name, scores, average, averages[0][1], _score(means, is_best, said) if means else None),
                *(condition.needs, condition.cost),
            )
        )
    return rows


def _coverage_text(task: TaskResult, condition: Condition) -> str:
    """Of how many languages every seed's mean is at least over."""
    fewest = min(len(task.scored_languages(condition.name, seed)) for seed in task.seeds(condition.name))
    return coverage(fewest, len(task.languages), "pairs" if task.of_pairs else "languages")


def _scored_conditions(results: Results, tasks: Sequence[TaskResult]) -> list[str]:
    return [condition.name for condition in results.conditions if all(task.seeds(condition.name) for task in tasks)]


def _score(values: Sequence[float], best: bool, over: str = "") -> Score:
    mean, spread = mean_and_spread(values)
    return Score(mean, spread, len(values), best, over)


def _average(tasks: Sequence[TaskResult], condition: str, seed: int) -> tuple[float | None, str]:
    """The official average of one seed, which is of test sets, and how many of its tasks are complete."""
    scored = [task for task in tasks if task.split == "test" and (condition, seed) in task.scores]
    scores = {task.name: task.scores[condition, seed] for task in scored}
    of = official_mean(task.name for task in tasks) or OFFICIAL[0]
    official = {name: TASKS.ours()[name] for name in of.tasks}
    languages = {name: entry.languages for name, entry in official.items()}
    metrics = {name: metric(entry.metric) for name, entry in official.items()}
    found = benchmark({name: scores[name] for name in scores if name in official}, languages, metrics, of.variant)
    return found.value, f"{found.done} of {found.of}"


def _best(tasks: Mapping[str, Sequence[TaskResult]], results: Results) -> str | None:
    """The condition with the best mean over its tasks, if it is better than each other one. Languages are themselves: the
    mean over exactly these is what is asked."""
    if len(tasks) < 2:
        return None
    means = {
        name: sum(task.metric.sign * fmean(task.seed_mean(name, seed) for seed in task.seeds(name)) for task in parts)
        for name, parts in tasks.items()
    }
    best = max(means, key=lambda name: means[name])
    spread = spread_of(results, tasks[best], {task.name: task.replicated.languages for task in tasks[best]}, False)
    intervals = {}
    for other in tasks:
        if other != best:
            parts = [task.differences(best, other) for task in tasks[best]]
            seeds = {len(part.observed) for part in parts if part}
            if None in parts or len(seeds) > 1:
                return None
            intervals[other] = pooled_interval([part for part in parts if isinstance(part, Differences)], False, spread)
    corrected = holm({name: interval.p for name, interval in intervals.items()})
    return best if all(interval.low > 0 and corrected[name] < LEVEL for name, interval in intervals.items()) else None
