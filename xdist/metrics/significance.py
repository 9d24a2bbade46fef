"""How far a difference between two systems can be trusted: bootstrap intervals, approximate randomisation, Holm.

Two systems A and B were trained with S seeds each and scored on the same test sets. Examples, seeds and, for a mean over a
group, languages are samples of what one wants to speak about; each adds its part to the variance of the difference:

- examples: drawn again with replacement, the same draw for both systems and all seeds (Efron 1979; paired: Koehn 2004), and
  the same draw in all languages whose test sets are of one size, since such sets are often translations of each other;
- seeds: from the spread of the seeds' differences, less what the examples explain of it already;
- languages of a group: drawn again with replacement. What examples add is in the spread between languages already (Davison and
  Hinkley 1997, section 3.8), except for what they add in all languages at once, which is added.

An interval is the percentile interval of the replicates, stretched to the half-width sqrt(sum of t^2 v): v is each part's
variance and t the quantile of Student's t with its degrees of freedom (many for examples, S - 1 for seeds, L - 1 for
languages), since two seeds or four languages say little about a spread. One seed says nothing about seeds: the interval is then
about these two models only.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import NormalDist
from typing import TypeVar

import numpy as np

from xdist.metrics.counts import Array, CountRows
from xdist.metrics.definition import Metric

DRAWS = 2000
LEVEL = 0.95
CHUNK = 4_000_000  # numbers held at once while drawing
EXAMPLES, LANGUAGES, SHUFFLES = range(3)  # streams of random numbers, so that no kind of draw repeats another

Name = TypeVar("Name", bound=Hashable)
Bounds = tuple[float, float]
UNBOUNDED: Bounds = (-inf, inf)


@dataclass(frozen=True, slots=True)
class Paired:
    """One test set: the rows of its metric, of A and of B: each [seeds, examples, columns]."""

    a: Array
    b: Array


@dataclass(frozen=True, slots=True)
class VariancePart:
    """What one kind of sample adds to the variance of a difference, and the degrees of freedom with which that is known."""

    variance: float
    freedom: int = 0  # 0: large enough not to matter


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference A - B in points of the metric, its interval at `level`, and the p-value of no difference to go with it;
    `parts`: what they rest on."""

    difference: float
    low: float
    high: float
    p: float
    level: float = LEVEL
    parts: tuple[VariancePart, ...] = field(default=(), compare=False, repr=False)

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def least(self, p: float) -> float:
        """The least difference, of either sign, whose p-value would be below `p`."""
        return _half_width(self.parts, 1 - p)


def paired_rows(a: Sequence[CountRows], b: Sequence[CountRows]) -> Paired:
    """Rows of the same test set, one array per seed. Raises ValueError when they are not of the same examples or seeds."""
    first, second = (np.stack([rows.reshape(len(rows), -1) for rows in system]) for system in (a, b))
    if first.shape != second.shape:
        raise ValueError(f"not the same examples or seeds: {first.shape} and {second.shape}")
    return Paired(first, second)


def intervals(
    sets: Mapping[str, Paired], metric: Metric, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> dict[str, Interval]:
    """The interval of the difference in each language."""
    observed, replicates = _replicates(sets, metric, seed, draws)
    bounds = difference_bounds(metric)
    return {code: single(observed[:, n], replicates[:, :, n], level, bounds) for n, code in enumerate(sets)}


def group_interval(
    sets: Mapping[str, Paired],
    metric: Metric,
    languages: bool = True,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """The interval of the mean difference over a group. With `languages` they are a sample of the languages like them, without
    they are themselves: what is said then holds for these alone. A group of one language is always itself."""
    observed, replicates = _replicates(sets, metric, seed, draws)
    count = len(sets)
    if not languages or count == 1:
        return single(observed.mean(axis=1), replicates.mean(axis=2), level, difference_bounds(metric))
    rng = np.random.default_rng([seed, LANGUAGES])
    chosen = rng.integers(count, size=(draws, count))
    drawn = observed.T[chosen].mean(axis=1)  # [draws, seeds]
    per_language = replicates.mean(axis=1)  # [draws, languages]
    together = max(0.0, _var(per_language.mean(axis=1)) - sum(_var(column) for column in per_language.T) / count**2)
    together *= count / (count - 1)  # each language has it with the others alone
    between = _var(drawn.mean(axis=1)) * count / (count - 1)
    # What is left of seed by language once both means are taken away: noise that the mean over languages has its part of.
    rest = observed - observed.mean(axis=0) - observed.mean(axis=1, keepdims=True) + observed.mean()
    shared = float((rest**2).sum()) / (count - 1) / len(observed) / count
    parts = [VariancePart(between, count - 1), VariancePart(together), *of_seeds(observed.mean(axis=1), shared)]
    return interval(observed, drawn.mean(axis=1), parts, level, difference_bounds(metric))


def randomisation(sets: Mapping[str, Paired], metric: Metric, seed: int = 0, draws: int = DRAWS) -> float:
    """The p-value of approximate randomisation (Noreen 1989) for no difference between two systems, two-sided, in the mean over
    the test sets: in each shuffle every example's rows change sides or not, all seeds together. It is about these trained
    models; it does not know how another seed would have come out. Sets of one size are shuffled equally."""
    rng = np.random.default_rng([seed, SHUFFLES])
    observed, _ = _replicates(sets, metric, seed, 0)
    shuffled = np.zeros(draws)
    for members in _by_size(sets):
        size = members[0].a.shape[1]
        for low in range(0, draws, step := max(1, CHUNK // size)):
            count = min(step, draws - low)
            stay = rng.integers(2, size=(count, size)).astype(np.float64)
            for member in members:
                swapped = [
                    metric.points(np.tensordot(stay, x, (1, 1)) + np.tensordot(1 - stay, y, (1, 1))).mean(axis=1)
                    for x, y in ((member.a, member.b), (member.b, member.a))
                ]
                shuffled[low : low + count] += (swapped[0] - swapped[1]) / len(sets)
    # Equal sums in another order differ in the last digits.
    as_far = np.abs(shuffled) >= abs(float(observed.mean())) - 1e-9
    return float((1 + as_far.sum()) / (1 + draws))


def holm(p: Mapping[Name, float]) -> dict[Name, float]:
    """The p-values corrected for that many comparisons (Holm 1979): those below a level are, together, wrong no more often."""
    corrected: dict[Name, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - place) * p[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p}


def _replicates(sets: Mapping[str, Paired], metric: Metric, seed: int, draws: int) -> tuple[Array, Array]:
    """Differences A - B as observed [seeds, languages], and in each draw of examples [draws, seeds, languages]."""
    place_of = {id(member): place for place, member in enumerate(sets.values())}
    seeds = next(iter(sets.values())).a.shape[0]
    observed, replicates = np.zeros((seeds, len(sets))), np.zeros((draws, seeds, len(sets)))
    rng = np.random.default_rng([seed, EXAMPLES])
    for members in _by_size(sets):
        size = members[0].a.shape[1]
        for member in members:
            observed[:, place_of[id(member)]] = metric.points(member.a.sum(axis=1)) - metric.points(member.b.sum(axis=1))
        for low in range(0, draws, step := max(1, CHUNK // size)):
            count = min(step, draws - low)
            # Each draw counts in a separate stretch, so one count is enough for all.
            chosen = rng.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
            times = np.bincount(chosen.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)
            for member in members:
                a, b = (metric.points(np.tensordot(times, rows, (1, 1))) for rows in (member.a, member.b))
                replicates[low : low + count, :, place_of[id(member)]] = a - b
    return observed, replicates


def _by_size(sets: Mapping[str, Paired]) -> list[list[Paired]]:
    sizes: dict[int, list[Paired]] = {}
    for member in sets.values():
        sizes.setdefault(member.a.shape[1], []).append(member)
    return list(sizes.values())


def difference_bounds(metric: Metric) -> Bounds:
    """The least and the most that two scores can differ by, in points."""
    low, high = metric.range
    return low - high, high - low


def single(observed: Array, replicates: Array, level: float, bounds: Bounds = UNBOUNDED) -> Interval:
    """`observed` [seeds], `replicates` [draws, seeds] of one language, or of a mean over languages that are themselves."""
    mean = replicates.mean(axis=1)
    shared = float((replicates - mean[:, None]).var(axis=0).mean())
    return interval(observed, mean, [VariancePart(float(mean.var())), *of_seeds(observed, shared)], level, bounds)


def of_seeds(observed: Array, shared: float) -> list[VariancePart]:
    """The part of seeds whose differences are `observed` [seeds]; `shared` / (seeds - 1) of its variance is of other parts."""
    more = len(observed) - 1
    return [VariancePart(max(0.0, float(observed.var()) - shared) / more, more)] if more else []


def interval(
    observed: Array, replicates: Array, parts: Sequence[VariancePart], level: float, bounds: Bounds = UNBOUNDED
) -> Interval:
    """It ends at `bounds`, since two seeds may spread so far that Student's t goes beyond what can be."""
    difference, deviation = float(observed.mean()), float(replicates.std())
    if sum(part.variance for part in parts) < 1e-18:
        return Interval(difference, difference, difference, 1.0 if abs(difference) < 1e-9 else 0.0, level, tuple(parts))
    half = _half_width(parts, level)
    ends = np.array([-half, half])
    if deviation > 1e-9:
        shape = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2]) - replicates.mean()
        ends = shape * half / (deviation * NormalDist().inv_cdf((1 + level) / 2))
    # The p-value is what the level would have to leave out for the interval just to reach zero.
    least, most = 0.0, 1.0 - 1e-12  # at 1 the half-width is infinite
    for _ in range(40):  # halves the distance each time: to 1e-12
        middle = (least + most) / 2
        least, most = (middle, most) if _half_width(parts, middle) < abs(difference) else (least, middle)
    low, high = np.clip(difference + ends, *bounds)
    return Interval(difference, float(low), float(high), 1 - least, level, tuple(parts))


def _half_width(parts: Sequence[VariancePart], level: float) -> float:
    share = (1 + level) / 2
    quantiles = [(student(share, part.freedom) if part.freedom else NormalDist().inv_cdf(share)) for part in parts]
    return float(np.sqrt(sum(quantile**2 * part.variance for quantile, part in zip(quantiles, parts, strict=True))))


def student(share: float, freedom: int) -> float:
    """The quantile of Student's t."""
    from scipy.special import stdtrit  # takes longer to import than all commands that only look

    return float(stdtrit(freedom, share))


def _var(values: Array) -> float:
    return float(values.var())
