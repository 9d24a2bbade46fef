"""Intervals and tests of a difference, on simulated systems whose true difference is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.metrics import Metric, mining, qa, retrieval, spans
from xdist.metrics.accuracy import ACCURACY
from xdist.metrics.significance import Paired, group_interval, holm, intervals, paired_rows, randomisation, student

TRIALS = 100
# 95 % +- three standard deviations of a binomial of this many trials, and what the bootstrap itself is off with so few
# examples.
LEAST = 0.95 - 3 * (0.95 * 0.05 / TRIALS) ** 0.5 - 0.01


def counted(right: np.ndarray) -> np.ndarray:
    """The rows of accuracy: of each example whether it is right, and 1."""
    return np.stack([right, np.ones(right.shape)], axis=-1).astype(float)


def simulated(
    rng: np.random.Generator, effect: float, seeds: int, languages: dict[str, int], spread: float
) -> dict[str, Paired]:
    """Right or wrong answers of two systems around 60 %; `spread` is the standard deviation over seeds and over languages, in
    points, and the examples are translations of each other: hard ones are hard in every language."""
    shift = {name: rng.normal(0, spread, seeds) for name in "ab"}
    hard = rng.normal(0, 0.1, max(languages.values()))
    sets = {}
    for code, size in languages.items():
        bonus = effect + (rng.normal(0, spread) if len(languages) > 1 else 0.0)
        easy = 0.6 + hard[:size]
        chance = {"a": easy + (bonus + shift["a"][:, None]) / 100, "b": easy + shift["b"][:, None] / 100}
        sets[code] = Paired(*(counted(rng.random((seeds, size)) < chance[name]) for name in "ab"))
    return sets


@pytest.mark.parametrize("seeds, languages, spread", [(1, 1, 0.0), (3, 1, 4.0), (3, 5, 3.0), (2, 4, 0.0)])
def test_intervals_cover_the_true_difference(seeds: int, languages: int, spread: float) -> None:
    rng = np.random.default_rng(seeds * 10 + languages)
    sizes = {f"l{n}": 80 for n in range(languages)}
    found = [
        group_interval(simulated(rng, 4.0, seeds, sizes, spread), ACCURACY, seed=trial, draws=200) for trial in range(TRIALS)
    ]
    assert np.mean([interval.low <= 4.0 <= interval.high for interval in found]) >= LEAST
    # Wide enough is easy; they must also be no wider than what they are about, give or take Student's t.
    deviation = np.std([interval.difference for interval in found])
    assert (
        np.median([interval.high - interval.low for interval in found])
        < 2 * 2.0 * max(1.0, student(0.975, seeds) / 1.6) * deviation
    )


def test_no_effect_is_seldom_called_one() -> None:
    rng = np.random.default_rng(5)
    intervals_, shuffles = [], []
    for trial in range(TRIALS):
        sets = simulated(rng, 0.0, 1, {"xx": 120}, 0.0)
        intervals_.append(group_interval(sets, ACCURACY, seed=trial, draws=200).excludes_zero)
        shuffles.append(randomisation(sets, ACCURACY, seed=trial, draws=199) <= 0.05)
    most = 0.05 + 3 * (0.05 * 0.95 / TRIALS) ** 0.5
    assert np.mean(intervals_) <= most + 0.01
    assert np.mean(shuffles) <= most


def test_a_large_effect_is_found() -> None:
    sets = simulated(np.random.default_rng(7), 15.0, 3, {"aa": 300, "bb": 300, "cc": 200}, 0.5)
    found = intervals(sets, ACCURACY)
    assert all(interval.low > 0 and interval.p < 0.05 for interval in found.values())
    assert group_interval(sets, ACCURACY).excludes_zero
    assert randomisation(sets, ACCURACY) < 0.01


def test_equal_systems_differ_by_nothing() -> None:
    rows = counted(np.random.default_rng(0).random((2, 50)))
    found = group_interval({"a": Paired(rows, rows), "b": Paired(rows, rows)}, ACCURACY)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert randomisation({"a": Paired(rows, rows)}, ACCURACY) == 1


def width(sets: dict[str, Paired], languages: bool) -> float:
    found = group_interval(sets, ACCURACY, languages)
    return found.high - found.low


def test_seeds_widen_and_languages_as_a_sample_widen() -> None:
    rng = np.random.default_rng(3)
    one_seed = simulated(rng, 2.0, 1, {f"l{n}": 150 for n in range(6)}, 8.0)
    assert width(one_seed, languages=True) > 1.2 * width(one_seed, languages=False)
    seeds = simulated(rng, 2.0, 3, {f"l{n}": 150 for n in range(6)}, 5.0)
    blind = {code: Paired(both.a.mean(axis=0)[None], both.b.mean(axis=0)[None]) for code, both in seeds.items()}
    assert width(seeds, languages=False) > 1.2 * width(blind, languages=False)


def test_the_same_seed_gives_the_same_interval() -> None:
    sets = simulated(np.random.default_rng(1), 2.0, 2, {"aa": 60, "bb": 90}, 1.0)
    assert group_interval(sets, ACCURACY, seed=4) == group_interval(sets, ACCURACY, seed=4)
    assert group_interval(sets, ACCURACY, seed=4) != group_interval(sets, ACCURACY, seed=5)


@given(st.data())
def test_points_of_sums_are_by_the_definitions(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    size = data.draw(st.integers(1, 20))
    right, pair = counted(rng.random(size) < 0.5), np.column_stack([rng.random((size, 2)), np.ones(size)])
    counts = rng.integers(0, 4, size=(size, 5)).astype(float)
    counts[:, 0] = counts[:, 1:3].min(axis=1)  # no more are right than there are
    counts[:, 3:].sort(axis=1)
    found, whole = counts[:, 0].sum(), counts[:, 1:3].sum()
    f1 = 200 * found / whole if whole else 0
    cases: list[tuple[np.ndarray, Metric, float]] = [
        (right, ACCURACY, 100 * right[:, 0].mean()),
        (pair[:, 1:], retrieval.MAP, 100 * pair[:, 1].mean()),
        (pair, qa.SQUAD, 100 * pair[:, 1].mean()),
        (np.hstack([counts, counts[:, :3]]), spans.OFFICIAL, f1),
        (counts, spans.CURRENT, f1),
        (counts[:, :3], mining.PAIR_F1, f1),
    ]
    for rows, metric, expected in cases:
        assert float(metric.points(rows.sum(axis=0))) == pytest.approx(expected)
        assert metric.of_rows(rows)[metric.headline] == pytest.approx(expected)
        assert metric.points(np.stack([rows.sum(axis=0)] * 3)[None]).tolist() == [[pytest.approx(expected)] * 3]
    assert qa.SQUAD.of_rows(pair)["exact_match"] == pytest.approx(100 * pair[:, 0].mean())


def test_holm() -> None:
    # Holm 1979: the smallest times 3, the next times 2, never below one before it.
    assert holm({"a": 0.03, "b": 0.01, "c": 0.02}) == pytest.approx({"a": 0.04, "b": 0.03, "c": 0.04})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize(
    "freedom, quantile",
    [(1, 12.7062047362), (2, 4.30265272975), (3, 3.18244630528), (10, 2.22813885199), (49, 2.00957523713)],
)
def test_students_quantiles(freedom: int, quantile: float) -> None:
    assert student(0.975, freedom) == pytest.approx(quantile, rel=1e-9)


def test_other_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="not the same examples or seeds"):
        paired_rows([np.zeros(5)], [np.zeros(6)])
    with pytest.raises(ValueError, match="not the same examples or seeds"):
        paired_rows([np.zeros(5), np.zeros(5)], [np.zeros(5)])


def test_no_interval_leaves_what_the_metric_can_be() -> None:
    """Two seeds that differ much: Student's t alone goes beyond a difference of 100 points."""
    right = np.array([[0] * 40, [1] * 40])
    sets = {code: Paired(counted(right), counted(1 - right)) for code in ("xx", "yy")}
    for found in (
        intervals(sets, ACCURACY)["xx"],
        group_interval(sets, ACCURACY),
        group_interval(sets, ACCURACY, languages=False),
    ):
        assert (found.low, found.high) == (-100.0, 100.0)
        assert found.p > 0.5
