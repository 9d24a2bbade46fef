"""Many systems on many tasks: scores under the same draws of examples, and a difference pooled over tasks with its interval.

A group's difference is the mean over tasks of the mean over the group's languages in each task. Tasks are themselves: the
benchmark's. Languages are a sample, and one that is in several tasks, under any code, is drawn with all of them, since
a language that is hard is hard in each. Examples and seeds are as in `xdist.metrics.significance`, whose intervals these are
for one task; sets that share sentences are drawn together, in all languages and tasks.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from xdist.files import digest
from xdist.languages import by_size, identity
from xdist.metrics.counts import Array, CountRows
from xdist.metrics.definition import Metric
from xdist.metrics.significance import CHUNK, LANGUAGES, LEVEL, UNBOUNDED, Bounds, Interval, VariancePart, interval, of_seeds

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Replicated:
    """Scores of one task in points: `observed` [systems, languages], and under each draw of examples, the same for all systems,
    `drawn` [draws, systems, languages]; NaN where a system has no score of a language. `counts`: examples by language;
    `bounds`: within which scores are."""

    systems: tuple[Hashable, ...]
    languages: tuple[str, ...]
    observed: Array
    drawn: Array
    counts: Mapping[str, int]
    bounds: Bounds = UNBOUNDED

    def differences(self, a: Sequence[Hashable], b: Sequence[Hashable], languages: Sequence[str]) -> "Differences | None":
        """A - B, seed by seed, in those of `languages` that all of them have; None where there is none."""
        first, second = ([self.systems.index(system) for system in side] for side in (a, b))
        observed = self.observed[first] - self.observed[second]
        at = [n for n, code in enumerate(self.languages) if code in languages and not np.isnan(observed[:, n]).any()]
        if not at or not first:
            return None
        drawn = self.drawn[:, first][:, :, at] - self.drawn[:, second][:, :, at]
        low, high = self.bounds
        return Differences(tuple(self.languages[n] for n in at), observed[:, at], drawn, (low - high, high - low))

    def alone(self, systems: Sequence[Hashable], languages: Sequence[str]) -> "Differences | None":
        """The scores of the seeds of one system, as differences from nothing."""
        rows = [self.systems.index(system) for system in systems]
        observed = self.observed[rows]
        at = [n for n, code in enumerate(self.languages) if code in languages and not np.isnan(observed[:, n]).any()]
        if not at or not rows:
            return None
        return Differences(tuple(self.languages[n] for n in at), observed[:, at], self.drawn[:, rows][:, :, at], self.bounds)


@dataclass(frozen=True, slots=True)
class Differences:
    """Of two systems on one task: `observed` [seeds, languages], `drawn` [draws, seeds, languages]; `bounds`: what can be."""

    languages: tuple[str, ...]
    observed: Array
    drawn: Array
    bounds: Bounds = UNBOUNDED

    @property
    def identities(self) -> list[str]:
        """What each language is in all tasks, for any codes; two that are one by code stay two."""
        found = Counter(map(identity, self.languages))
        return [identity(code) if found[identity(code)] == 1 else code for code in self.languages]

    def only(self, language: str) -> "Differences":
        at = [self.languages.index(language)]
        return Differences((language,), self.observed[:, at], self.drawn[:, :, at], self.bounds)


def replicate(
    systems: Mapping[Hashable, Mapping[str, CountRows]], metric: Metric, sentences: str, seed: int = 0, draws: int = DRAWS
) -> Replicated:
    """The scores of `systems` (rows of `metric` by language) under draws of examples with replacement. `sentences` names what
    the examples are drawn from: the task, or the set whose sentences it has (`Task.sentences`). Of one name, test sets of
    one size have the same draws, since such sets are often translations of each other; others have different draws. Raises
    ValueError where the examples of a language differ in number."""
    languages = by_size({code for rows in systems.values() for code in rows})
    observed = np.full((len(systems), len(languages)), np.nan)
    drawn = np.full((draws, *observed.shape), np.nan)
    sizes: dict[int, list[str]] = {}
    counts: dict[str, int] = {}
    for code in languages:
        found = {len(rows[code]) for rows in systems.values() if code in rows}
        if len(found) > 1:
            raise ValueError(f"{code}: {' and '.join(map(str, sorted(found)))} examples; they were scored on other files")
        counts[code] = found.pop()
        sizes.setdefault(counts[code], []).append(code)
    for size, codes in sizes.items():
        rng = np.random.default_rng([seed, int(digest(sentences), 16), size])
        stacks = {}
        for code in codes:
            have = [n for n, rows in enumerate(systems.values()) if code in rows]
            stack = np.stack([rows[code].reshape(size, -1) for rows in systems.values() if code in rows])
            observed[have, languages.index(code)] = metric.points(stack.sum(axis=1))
            stacks[code] = have, stack
        for low in range(0, draws, step := max(1, CHUNK // max(1, size))):
            count = min(step, draws - low)
            # Each draw counts in a separate stretch, so one count is enough for all.
            chosen = rng.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
            times = np.bincount(chosen.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)
            for code, (have, stack) in stacks.items():
                drawn[low : low + count, have, languages.index(code)] = metric.points(np.tensordot(times, stack, (1, 1)))
    return Replicated(tuple(systems), tuple(languages), observed, drawn, counts, metric.range)


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """The variance between seeds of one system's pooled score, beyond what examples and languages add, and the degrees of
    freedom with which it is known."""

    variance: float
    freedom: int


def seed_spread(systems: Sequence[Sequence[Differences]], sample: bool = True) -> SeedSpread | None:
    """From the scores of several systems that are assumed to have equal spread: two seeds of one know their spread with one
    degree of freedom, two seeds of six with six. None where no system has two seeds. A system whose seeds are one model, such
    as a backbone that is scored unchanged, says nothing. `sample` as in `pooled_interval`."""
    found = []
    for tasks in systems:
        if all((task.drawn == task.drawn[:, :1]).all() for task in tasks):
            continue
        frame = _frame(tasks, sample)
        if (seeds := len(frame.by_seed)) > 1:
            found.append(((float(frame.by_seed.var()) - frame.shared) * seeds / (seeds - 1), seeds - 1))
    freedom = sum(weight for _, weight in found)
    return SeedSpread(max(0.0, sum(value * weight for value, weight in found) / freedom), freedom) if found else None


def pooled_interval(
    tasks: Sequence[Differences], sample: bool = True, seeds: SeedSpread | None = None, seed: int = 0, level: float = LEVEL
) -> Interval:
    """The interval of the mean over `tasks` of the mean over the languages of each. With `sample` languages speak for those
    like them, without they are themselves, as a group of one language always is. All tasks have the same seeds; `seeds` says
    how far one of a system's spread, else the differences themselves do."""
    frame = _frame(tasks, sample)
    bounds = fmean(task.bounds[0] for task in tasks), fmean(task.bounds[1] for task in tasks)
    of_seed = of_seeds(frame.by_seed, frame.shared)
    if seeds:  # of both systems
        of_seed = [VariancePart(2 * seeds.variance / len(frame.by_seed), seeds.freedom)]
    drawn = frame.drawn.mean(axis=1)  # [draws, languages]
    whole = drawn.sum(axis=1)
    if not sample or len(frame.spread) == 1:
        return interval(frame.by_seed, whole, [VariancePart(float(whole.var())), *of_seed], level, bounds)
    count = len(frame.spread)
    chosen = np.random.default_rng([seed, LANGUAGES]).multinomial(count, np.full(count, 1 / count), size=len(drawn))
    # What examples add in all languages at once is not in the spread between these, and each has it with the others alone.
    together = max(0.0, float(whole.var() - drawn.var(axis=0).sum())) * count / (count - 1)
    parts = [VariancePart(float((frame.spread**2).sum()), count - 1), VariancePart(together), *of_seed]
    return interval(frame.by_seed, chosen @ frame.spread, parts, level, bounds)


@dataclass(frozen=True, slots=True)
class _Frame:
    """`by_seed` [seeds]: the pooled difference; `drawn` [draws, seeds, languages]: what each language adds to it under each
    draw; `spread` [languages]: what each adds to its deviation; `shared`: the part of the variance of `by_seed` that is not
    seeds': that of examples, and, where languages are a sample, of what a seed does to some of them, which is in `spread`."""

    by_seed: Array
    drawn: Array
    spread: Array
    shared: float


def _frame(tasks: Sequence[Differences], sample: bool) -> _Frame:
    names = sorted({name for task in tasks for name in task.identities})
    count, seeds, draws = len(names), len(tasks[0].observed), len(tasks[0].drawn)
    by_seed, drawn = np.zeros(seeds), np.zeros((draws, seeds, count))
    whole = float(np.mean([task.observed.mean() for task in tasks]))
    spread, rest = np.zeros(count), np.zeros((seeds, count))
    for task in tasks:
        at, size = [names.index(name) for name in task.identities], len(task.languages)
        weight = 1.0 / (len(tasks) * size)
        by_seed += weight * task.observed.sum(axis=1)
        drawn[:, :, at] += weight * task.drawn
        means = task.observed.mean(axis=0)
        if size > 1:
            scale = weight * (size / (size - 1)) ** 0.5
            spread[at] += scale * (means - means.mean())
            rest[:, at] += scale * (task.observed - means - task.observed.mean(axis=1, keepdims=True) + means.mean())
        elif count > 1:  # one language shows no spread: its distance from the total is too large rather than too small
            spread[at] += weight * (count / (count - 1)) ** 0.5 * (means - whole)
    shared = float((rest**2).sum()) / seeds
    if count == 1 or not sample:
        replicates = drawn.sum(axis=2)
        shared = float((replicates - replicates.mean(axis=1, keepdims=True)).var(axis=0).mean())
    return _Frame(by_seed, drawn, spread, shared)
