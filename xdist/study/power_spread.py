"""How far scores spread: stated in a study, or worked out from pilot runs.

A score of an example is taken to be a sum of parts, each drawn again where its name changes: of the condition or of one of its
seeds, in all languages or in one, of the sentence in all languages that have it or of this one's. The parts are estimated from
pilot runs as in an analysis of variance, by what squares and products of deviations are in the mean. The scores of examples are
the metric's jackknife pseudo-values, so that metrics that are no means, such as span F1, have them too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xdist.config.expected import Spreads
from xdist.metrics.counts import Array, CountRows
from xdist.metrics.definition import Metric

FIXED = 0.5  # of what is stated: how much of a disagreement is due to the condition, with any seed


@dataclass(frozen=True, slots=True)
class Parts:
    """Variances, in squared points: of a total, of a language; and of one example, shared by the languages or not."""

    whole: float
    language: float
    shared: float
    own: float


@dataclass(frozen=True, slots=True)
class Spread:
    """`condition`: parts of a condition among others (`whole` is what is asked about, and not counted); `seed`: of a seed
    among others of its condition, whose `whole` is known with `freedom` degrees of freedom. `said`: where they come from."""

    condition: Parts
    seed: Parts
    said: str
    freedom: int = 0

    @property
    def facts(self) -> dict[str, float]:
        """As `power` of a study states them."""
        example = self.condition.shared + self.condition.own + self.seed.shared + self.seed.own
        return {
            "seeds": self.seed.whole**0.5,
            "languages": (2 * self.condition.language) ** 0.5,
            "seeds_by_language": self.seed.language**0.5,
            "disagree": 100 * 2 * example / 100**2,
            "shared": (self.condition.shared + self.seed.shared) / example if example else 0.0,
        }

    @property
    def spoken(self) -> str:
        known = f" ({self.freedom} degrees of freedom)" if self.freedom else ""
        one = self.facts
        return (
            f"seeds {one['seeds']:.1f} points{known}, languages {one['languages']:.1f}, seeds by language "
            f"{one['seeds_by_language']:.1f}; two conditions disagree on {one['disagree']:.0f} % of the examples, "
            f"{100 * one['shared']:.0f} % of that due to the sentence in any language"
        )


def stated_spread(spreads: Spreads) -> Spread:
    # Two systems of which each has a part of variance v disagree on the share 2 v of the examples.
    example = 100**2 * spreads.disagree / 100 / 2
    shared, own = example * spreads.shared, example * (1 - spreads.shared)
    condition = Parts(0.0, spreads.languages**2 / 2, FIXED * shared, FIXED * own)
    seed = Parts(spreads.seeds**2, spreads.seeds_by_language**2, (1 - FIXED) * shared, (1 - FIXED) * own)
    return Spread(condition, seed, "stated")


def measured_spread(
    pilot: Mapping[str, Sequence[Mapping[str, CountRows]]], metric: Metric, group: Mapping[str, str], instead: Spread
) -> Spread | None:
    """From the rows of `metric` of each seed of each condition, by language; languages spread within their `group`. What one
    condition or one seed does not show is as in `instead`; None where there are no two runs."""
    runs = [run for of_condition in pilot.values() for run in of_condition]
    codes = sorted(code for code in set.intersection(*(set(run) for run in runs)) if code in group) if runs else []
    if len(runs) < 2 or not codes:
        return None
    sizes: dict[int, list[str]] = {}
    for code in codes:
        sizes.setdefault(len(runs[0][code]), []).append(code)
    labels = [group[code] for of_size in sizes.values() for code in of_size]
    # By size of the test sets, [runs, languages, examples]: sets of one size are taken to have the same sentences.
    values = [np.stack([[pseudo_values(run[code], metric) for code in of_size] for run in runs]) for of_size in sizes.values()]
    owners = np.repeat(np.arange(len(pilot)), [len(of_condition) for of_condition in pilot.values()])
    seeds = np.bincount(owners)
    means = [np.stack([x[owners == number].mean(axis=0) for number in range(len(pilot))]) for x in values]
    seed, condition = instead.seed, instead.condition
    freedom = int((seeds - 1).sum())
    if freedom:
        within = [x - mean[owners] for x, mean in zip(values, means, strict=True)]
        seed = _parts(within, labels, freedom)
    if len(pilot) > 1:
        between = _parts([mean - mean.mean(axis=0) for mean in means], labels, len(pilot) - 1)
        share = float((1 / seeds).mean())
        condition = Parts(
            0.0,
            *(
                max(0.0, getattr(between, name) - share * getattr(seed, name) * bool(freedom))
                for name in ("language", "shared", "own")
            ),
        )
    said = f"{len(runs)} pilot runs of {len(pilot)} condition{'s' * (len(pilot) > 1)} in {len(codes)} languages"
    return Spread(condition, seed, said, freedom)


def pseudo_values(rows: CountRows, metric: Metric) -> Array:
    """(examples,) in points: what each example adds to the score, whose mean is about the score."""
    table, count = rows.reshape(len(rows), -1).astype(np.float64), len(rows)
    total = table.sum(axis=0)
    without = metric.points(total - table)
    values: Array = count * metric.points(total[None])[0] - (count - 1) * without
    return values


def _parts(deviations: Sequence[Array], labels: Sequence[str], freedom: int) -> Parts:
    """Of deviations from a mean, [units, languages, examples] by size of test sets, that have `freedom` degrees of freedom."""
    means = np.concatenate([x.mean(axis=2) for x in deviations], axis=1)  # [units, languages]
    example = np.zeros(means.shape[1])  # by language, of one example
    products, pairs, at = 0.0, 0, 0
    for x in deviations:
        _, languages, count = x.shape
        rest = x - x.mean(axis=2, keepdims=True)
        squares = (rest**2).sum(axis=2) / (count - 1)
        example[at : at + languages] = squares.sum(axis=0) / freedom
        # What two languages have in common is in the square of their sum in addition to their own squares.
        together = (rest.sum(axis=1) ** 2).sum(axis=1) / (count - 1)
        products += float((together - squares.sum(axis=1)).sum()) / freedom
        pairs, at = pairs + languages * (languages - 1), at + languages
    shared = max(0.0, products / pairs) if pairs else 0.0
    own = max(0.0, float(example.mean()) - shared)
    one_in = float(np.mean(1 / np.concatenate([np.full(x.shape[1], x.shape[2]) for x in deviations])))
    language = max(0.0, _within_groups(means, labels) / freedom - own * one_in)
    whole = float((means.mean(axis=1) ** 2).sum()) / freedom
    whole -= (language + own * one_in) / means.shape[1] + shared * one_in
    return Parts(max(0.0, whole), language, shared, own)


def _within_groups(means: Array, labels: Sequence[str]) -> float:
    """The variance between languages of a group, summed over units."""
    squares, freedom = 0.0, 0
    for label in set(labels):
        of_group = means[:, [one == label for one in labels]]
        squares += float(((of_group - of_group.mean(axis=1, keepdims=True)) ** 2).sum())
        freedom += of_group.shape[1] - 1
    return squares / freedom if freedom else 0.0
