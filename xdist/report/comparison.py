"""Two systems compared on one task: the difference in each language and in each group, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xdist.languages import CC100, EVERY_GROUP, Pretraining, are_pairs, by_diagonal, by_size, without
from xdist.metrics import Metric
from xdist.metrics.counts import CountRows
from xdist.metrics.significance import Interval, Paired, group_interval, holm, intervals, paired_rows, randomisation
from xdist.report.naming import group_of
from xdist.report.scores import ALL, MANY, ZERO_SHOT, coverage

Runs = Sequence[Mapping[str, CountRows]]
"""For each seed the rows of the metric, by language."""
LEVEL = 0.05
DIAGONAL, OFF_DIAGONAL = "pairs of one language", "pairs of two languages"


def difference_shown(interval: Interval, p: float) -> bool:
    """Whether there is a difference: by the interval, and by the p-value after the correction for many comparisons."""
    return interval.excludes_zero and p < LEVEL


@dataclass(frozen=True, slots=True)
class Compared:
    """Means over seeds of the scores of A and B, and the interval of their difference; `p` is corrected for the number of
    languages or groups after Holm; `languages` says how many the row is a mean over, `count` how many examples it has; `over`
    of how many languages that is, where some have no gold."""

    a: float
    b: float
    interval: Interval
    p: float
    count: int
    languages: int = 1
    over: str = ""

    @property
    def shown(self) -> bool:
        return difference_shown(self.interval, self.p)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`languages` from least to most pre-training text; `groups` the rows of a report's summary; `shuffled` the p-value of
    approximate randomisation for these trained models, over all languages, None where nothing can be compared; `blank`
    languages were predicted on both sides, but not scored on both, for want of gold; `read`: whose groups these are."""

    metric: Metric
    languages: Mapping[str, Compared]
    groups: Mapping[str, Compared]
    shuffled: float | None
    blank: tuple[str, ...] = ()
    read: Pretraining = CC100

    @property
    def many(self) -> bool:
        return len(self.languages) >= MANY


def compare(
    a: Runs,
    b: Runs,
    metric: Metric,
    trained_on: Sequence[str] = (),
    seed: int = 0,
    blank: Sequence[str] = (),
    read: Pretraining = CC100,
) -> Comparison:
    """A against B, seed by seed, in the languages that all of them have; groups are those of `read`. `blank` are predicted by
    all, but not all have gold of them. Raises ValueError where their examples differ, where they have no language in common, or
    not as many seeds."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} against {len(b)} seeds")
    codes = by_size(set.intersection(*(set(rows) for rows in (*a, *b))), read)
    if not codes and blank:
        return Comparison(metric, {}, {}, None, tuple(blank), read)
    if not codes:
        raise ValueError("no language in common")
    sets = {code: paired_rows([rows[code] for rows in a], [rows[code] for rows in b]) for code in codes}
    single = intervals(sets, metric, seed)
    corrected = holm({code: interval.p for code, interval in single.items()})
    languages = {code: _compared({code: sets[code]}, metric, single[code], corrected[code]) for code in codes}
    members = {name: {code: sets[code] for code in found} for name, found in _groups(codes, trained_on, read).items()}
    grouped = {name: group_interval(found, metric, _is_sample(found), seed) for name, found in members.items()}
    corrected = holm({name: interval.p for name, interval in grouped.items()})
    predicted = _groups([*codes, *blank], trained_on, read)
    groups = {name: _compared(members[name], metric, grouped[name], corrected[name], len(predicted[name])) for name in members}
    return Comparison(metric, languages, groups, randomisation(sets, metric, seed), tuple(blank), read)


def _groups(codes: Sequence[str], trained_on: Sequence[str], read: Pretraining) -> dict[str, list[str]]:
    """The languages of each row that there are any for."""
    if are_pairs(codes):
        groups = dict(zip((DIAGONAL, OFF_DIAGONAL), by_diagonal(codes), strict=True))
    else:
        groups = {group: [code for code in codes if group_of(code, read) == group] for group in EVERY_GROUP}
        groups[ZERO_SHOT] = without(codes, trained_on)
    groups[ALL] = list(codes)
    return {name: members for name, members in groups.items() if members}


def _is_sample(members: Mapping[str, Paired]) -> bool:
    """Languages of a group speak for others like them. Pairs share their languages, so they are taken as themselves."""
    return not are_pairs(members)


def _compared(sets: Mapping[str, Paired], metric: Metric, interval: Interval, p: float, of: int = 1) -> Compared:
    a, b = (
        float(np.mean([metric.points(rows.sum(axis=1)).mean() for rows in system]))
        for system in zip(*((one.a, one.b) for one in sets.values()), strict=True)
    )
    count, what = sum(one.a.shape[1] for one in sets.values()), "languages" if _is_sample(sets) else "pairs"
    return Compared(a, b, interval, p, count, len(sets), coverage(len(sets), of, what))
