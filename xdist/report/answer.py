"""The answer of a study: for each resource group what each condition differs by from its baseline, with intervals.

Two rows are fixed beforehand as what the sentences speak of: languages of which the encoder read nothing or little, and the
others; where it is not known how much it read, those that it did not read and those that it did; where nothing is known, all.
Their p-values are corrected for that many comparisons after Holm; those of the other rows together for theirs.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from xdist.languages import EVERY_GROUP, SEEN, TAIL, UNKNOWN, Pretraining, by_diagonal, identity, without
from xdist.metrics.pooled import SeedSpread, pooled_interval, seed_spread
from xdist.metrics.significance import Interval, holm
from xdist.report.comparison import DIAGONAL, OFF_DIAGONAL, difference_shown
from xdist.report.naming import group_of
from xdist.report.results import Results, TaskResult
from xdist.report.scores import coverage

RARE, RICH = "unseen and low", "mid and high"
UNTRAINED, ELSEWHERE = "trained on in no stage", "trained on in another stage"


@dataclass(frozen=True, slots=True)
class Difference:
    """A condition minus its baseline in points; `p` is Holm's; `languages` (or pairs), `tasks` and `seeds` that it is over;
    `over` says of how many that were predicted, where not all can be compared."""

    condition: str
    against: str
    interval: Interval
    p: float
    languages: int
    tasks: int
    seeds: int
    over: str = ""

    @property
    def shown(self) -> bool:
        return difference_shown(self.interval, self.p)


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """A group of languages or pairs; `headline`: the sentences speak of it."""

    name: str
    headline: bool
    differences: tuple[Difference, ...]

    @property
    def size(self) -> str:
        """Of how many languages or pairs the difference of the most is."""
        most = max(self.differences, key=lambda difference: difference.languages)
        word = _word(self.name)
        return most.over or f"{most.languages} {word if most.languages != 1 else word.removesuffix('s')}"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`corrected` says for how many comparisons the p-values of headline rows and of the other rows were corrected."""

    rows: tuple[GroupDifference, ...]
    corrected: tuple[int, int]


ComparedGroups = Mapping[tuple[str, str], tuple[Interval, tuple[int, int, int], str]]
"""By (row, condition): the interval; over how many languages, tasks and seeds; and the condition that it is compared with."""


def compare_conditions(results: Results, rows: Collection[str] | None = None) -> ComparedGroups:
    """The interval of each condition in each row, or in these `rows` alone."""
    intervals: dict[tuple[str, str], tuple[Interval, tuple[int, int, int], str]] = {}
    for name, languages in _members(results).items():
        if rows is not None and name not in rows:
            continue
        sample = name not in (DIAGONAL, OFF_DIAGONAL)
        spread = spread_of(results, results.tasks, languages, sample)
        for condition, against in results.compared:
            if pooled := _pooled(results.tasks, condition.name, against, languages, sample, spread):
                intervals[name, condition.name] = (*pooled, against)
    return intervals


def answer(results: Results) -> Conclusion:
    groups = compare_conditions(results)
    headlines = set(headline_rows(results))
    families = [{key: groups[key][0].p for key in groups if (key[0] in headlines) == first} for first in (True, False)]
    corrected = {key: p for family in families for key, p in holm(family).items()}
    rows = []
    predicted = _members(results, lambda task: task.languages)
    for name, of_task in predicted.items():
        of = len({identity(code) for codes in of_task.values() for code in codes})
        differences = tuple(
            Difference(key[1], against, interval, corrected[key], *sizes, coverage(sizes[0], of, _word(name)))
            for key, (interval, sizes, against) in groups.items()
            if key[0] == name
        )
        if differences:
            rows.append(GroupDifference(name, name in headlines, differences))
    return Conclusion(tuple(rows), (len(families[0]), len(families[1])))


def headline_rows(results: Results) -> tuple[str, ...]:
    if all(task.of_pairs for task in results.tasks):
        return OFF_DIAGONAL, DIAGONAL
    return headline_groups(results.read)


def headline_groups(read: Pretraining) -> tuple[str, ...]:
    return (RARE, RICH) if read.sized else ("unseen", SEEN) if read.known else (UNKNOWN,)


def _word(row: str) -> str:
    return "pairs" if row in (DIAGONAL, OFF_DIAGONAL) else "languages"


def _with_scores(task: TaskResult) -> Sequence[str]:
    return task.replicated.languages


def _members(
    results: Results, languages: Callable[[TaskResult], Sequence[str]] = _with_scores
) -> dict[str, dict[str, list[str]]]:
    """By row, by task, its `languages`: those that the task was not trained on, or pairs."""
    seen = {identity(code) for condition in results.conditions for code in condition.seen}
    rows: dict[str, dict[str, list[str]]] = {name: {} for name in _rows(results.read)}
    for task in results.averaged:
        codes = without(languages(task), task.trained_on)
        if task.of_pairs:
            rows[DIAGONAL][task.name], rows[OFF_DIAGONAL][task.name] = by_diagonal(languages(task))
            continue
        for group in EVERY_GROUP:
            members = [code for code in codes if group_of(code, results.read) == group]
            rows[group][task.name] = members
            if results.read.sized and group != UNKNOWN:
                rows[RARE if group in TAIL else RICH].setdefault(task.name, []).extend(members)
        rows[UNTRAINED][task.name] = [code for code in codes if identity(code) not in seen]
        rows[ELSEWHERE][task.name] = [code for code in codes if identity(code) in seen]
    return rows


def _rows(read: Pretraining) -> list[str]:
    """The headline rows first."""
    return [*dict.fromkeys((*headline_groups(read), *EVERY_GROUP, UNTRAINED, ELSEWHERE, OFF_DIAGONAL, DIAGONAL))]


def spread_of(
    results: Results, tasks: Sequence[TaskResult], languages: Mapping[str, Sequence[str]], sample: bool
) -> SeedSpread | None:
    """How far the seeds of a condition spread in the mean over `tasks` and their `languages`, all conditions taken together,
    except for those that have not learnt."""
    systems = []
    for condition in results.conditions:
        if condition.name in results.not_learnt:
            continue
        seeds = [set(task.seeds(condition.name)) for task in tasks if languages.get(task.name)]
        common = sorted(set.intersection(*seeds)) if seeds else []
        systems_of = [(condition.name, seed) for seed in common]
        scores = [task.replicated.alone(systems_of, languages[task.name]) for task in tasks if languages.get(task.name)]
        if found := [each for each in scores if each]:
            systems.append(found)
    return seed_spread(systems, sample)


def _pooled(
    tasks: Sequence[TaskResult],
    a: str,
    b: str,
    languages: Mapping[str, Sequence[str]],
    sample: bool,
    spread: SeedSpread | None,
) -> tuple[Interval, tuple[int, int, int]] | None:
    """The difference over the tasks and seeds that both sides have. Where seeds of some task are missing, they are left out of
    all; a task that has no seed in common with the others is left out."""
    seeds = {
        task.name: {seed for seed in task.seeds(a) if seed in task.seeds(b)}
        for task in tasks
        if languages.get(task.name) and task.differences(a, b, languages[task.name])
    }
    while seeds and not (common := set.intersection(*seeds.values())):
        del seeds[min(seeds, key=lambda name: len(seeds[name]))]
    if not seeds:
        return None
    parts = [
        difference
        for task in tasks
        if task.name in seeds and (difference := task.differences(a, b, languages[task.name], sorted(common)))
    ]
    count = len({identity(code) for part in parts for code in part.languages})
    return pooled_interval(parts, sample, spread), (count, len(parts), len(common))
