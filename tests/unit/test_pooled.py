"""Differences pooled over tasks, on simulated systems whose true difference is known."""

import numpy as np
import pytest
from test_significance import counted

from xdist.metrics.accuracy import ACCURACY
from xdist.metrics.pooled import Differences, SeedSpread, pooled_interval, replicate, seed_spread
from xdist.metrics.significance import Paired, group_interval

TRIALS = 300
# 95 % +- three standard deviations of a binomial of this many trials, and what the bootstrap is off with so few examples.
LEAST = 0.95 - 3 * (0.95 * 0.05 / TRIALS) ** 0.5 - 0.01


def simulated(
    rng: np.random.Generator, effect: float, seeds: int, spread: float, systems: str = "ab"
) -> tuple[list[Differences], SeedSpread | None]:
    """A - B on three tasks that share languages. Each language's difference has a part common to all its tasks, each seed of a
    system one common to all languages; both of standard deviation `spread`, in points. All of `systems` but a are equal."""
    languages = {f"l{n}": rng.normal(0, spread) for n in range(6)}
    shift = {(name, seed): rng.normal(0, spread) for name in systems for seed in range(seeds)}
    found, scores = [], []
    for number, codes in enumerate((("l0", "l1", "l2", "l3"), ("l2", "l3", "l4", "l5"), ("l0", "l4", "l5"))):
        rows: dict[tuple[str, int], dict[str, np.ndarray]] = {system: {} for system in shift}
        for code in codes:
            hard = rng.normal(0, 0.1, 60)
            for system, of_system in rows.items():
                bonus = shift[system] + (effect + languages[code] if system[0] == "a" else 0.0)
                of_system[code] = counted(rng.random(60) < 0.6 + hard + bonus / 100)
        replicated = replicate(dict(rows), ACCURACY, f"task{number}", int(rng.integers(10**6)), 200)
        sides = {name: [(name, seed) for seed in range(seeds)] for name in systems}
        one = replicated.differences(sides["a"], sides["b"], codes)
        assert one
        found.append(one)
        scores.append([replicated.alone(side, codes) for side in sides.values()])
    return found, seed_spread([[one for one in of_system if one] for of_system in zip(*scores, strict=True)])


@pytest.mark.parametrize("effect, seeds, spread", [(5.0, 3, 3.0), (0.0, 1, 0.0), (0.0, 2, 3.0), (0.0, 2, 0.0)])
def test_intervals_cover_and_no_effect_is_seldom_called_one(effect: float, seeds: int, spread: float) -> None:
    rng = np.random.default_rng(seeds)
    found = []
    for trial in range(TRIALS):
        tasks, of_seeds = simulated(rng, effect, seeds, spread, "abcd")
        found.append(pooled_interval(tasks, True, of_seeds, seed=trial))
    assert np.mean([one.low <= effect <= one.high for one in found]) >= LEAST
    if effect == 0:
        assert np.mean([one.p < 0.05 for one in found]) <= 1 - LEAST
    assert np.mean([one.difference for one in found]) == pytest.approx(effect, abs=1.0)
    # Wide enough is easy; they are no wider than what they are about, give or take Student's t of few languages and seeds.
    deviation = np.std([one.difference for one in found])
    assert np.median([one.high - one.low for one in found]) < 2 * 3.2 * deviation


def test_a_large_effect_is_found_and_languages_may_be_themselves() -> None:
    tasks, of_seeds = simulated(np.random.default_rng(1), 20.0, 3, 1.0)
    assert pooled_interval(tasks).low > 0
    fixed, sample = pooled_interval(tasks, False, of_seeds), pooled_interval(tasks, True, of_seeds)
    assert fixed.difference == sample.difference == pytest.approx(np.mean([task.observed.mean() for task in tasks]))


def test_seeds_of_many_systems_know_their_spread() -> None:
    rng = np.random.default_rng(3)
    found = [simulated(rng, 0.0, 2, 4.0, "abcdef")[1] for _ in range(30)]
    assert {one.freedom for one in found if one} == {6}
    assert np.mean([one.variance for one in found if one]) == pytest.approx(16, rel=0.25)
    assert simulated(rng, 0.0, 1, 4.0)[1] is None


def test_a_model_that_all_seeds_share_says_nothing_of_their_spread() -> None:
    rng = np.random.default_rng(5)
    rows = {("a", seed): {"sw": counted(rng.random(200) < share)} for seed, share in ((1, 0.2), (2, 0.8))}
    same = {"sw": counted(rng.random(200) < 0.5)}
    replicated = replicate({**rows, ("b", 1): same, ("b", 2): same}, ACCURACY, "t", draws=100)
    a, b = ([replicated.alone([(name, 1), (name, 2)], ["sw"])] for name in "ab")
    assert a[0]
    assert b[0]
    assert seed_spread([[a[0]], [b[0]]]) == seed_spread([[a[0]]])
    assert seed_spread([[b[0]]]) is None


def test_one_task_is_a_group_interval() -> None:
    rng = np.random.default_rng(4)
    a, b = (rng.random((3, 5, 80)) < share for share in (0.7, 0.6))
    rows = {(name, s): {f"l{n}": counted(x[s, n]) for n in range(5)} for name, x in (("a", a), ("b", b)) for s in range(3)}
    replicated = replicate(dict(rows), ACCURACY, "task", draws=2000)
    one = replicated.differences([("a", s) for s in range(3)], [("b", s) for s in range(3)], replicated.languages)
    assert one
    sets = {f"l{n}": Paired(counted(a[:, n]), counted(b[:, n])) for n in range(5)}
    for sample in (True, False):
        new, old = pooled_interval([one], sample), group_interval(sets, ACCURACY, sample)
        assert new.difference == pytest.approx(old.difference)
        assert new.high - new.low == pytest.approx(old.high - old.low, rel=0.1)


def test_languages_that_a_system_lacks_are_not_compared() -> None:
    rows = {("a", 1): {"de": counted(np.ones(9)), "sw": counted(np.ones(9))}, ("b", 1): {"de": counted(np.zeros(9))}}
    found = replicate(dict(rows), ACCURACY, "t", draws=5)
    one = found.differences([("a", 1)], [("b", 1)], ["de", "sw"])
    assert one
    assert one.languages == ("de",)
    assert one.observed.tolist() == [[100.0]]
    assert found.differences([("a", 1)], [("b", 1)], ["sw"]) is None
    assert found.differences([], [], ["de"]) is None
    with pytest.raises(ValueError, match="de: 8 and 9 examples"):
        replicate({"a": {"de": counted(np.ones(9))}, "b": {"de": counted(np.ones(8))}}, ACCURACY, "t")


def test_no_pooled_interval_leaves_what_scores_can_be() -> None:
    right = np.array([[0] * 40, [1] * 40])
    systems = {("a", 0): right[0], ("a", 1): right[1], ("b", 0): right[1], ("b", 1): right[0]}
    rows = {name: {code: counted(one) for code in ("xx", "yy")} for name, one in systems.items()}
    replicated = replicate(rows, ACCURACY, "task")
    one = replicated.differences([("a", 0), ("a", 1)], [("b", 0), ("b", 1)], ["xx", "yy"])
    assert one
    assert (pooled_interval([one, one]).low, pooled_interval([one, one]).high) == (-100.0, 100.0)
    alone = replicated.alone([("a", 0), ("a", 1)], ["xx", "yy"])
    assert alone
    assert (pooled_interval([alone]).low, pooled_interval([alone]).high) == (0.0, 100.0)


def test_tasks_of_the_same_sentences_are_drawn_together() -> None:
    """Two tasks ask the same 60 sentences in five languages, and what a system finds hard is in the sentence."""
    found = []
    for trial in range(150):
        rng, tasks = np.random.default_rng([7, trial]), []
        hard = {name: rng.normal(0, 0.3, 60) for name in "ab"}
        for _ in range(2):
            rows = {(name, 0): {f"l{n}": counted(rng.random(60) < 0.6 + hard[name]) for n in range(5)} for name in "ab"}
            replicated = replicate(dict(rows), ACCURACY, "their sentences", trial, 200)
            one = replicated.differences([("a", 0)], [("b", 0)], replicated.languages)
            assert one
            tasks.append(one)
        found.append(pooled_interval(tasks, seed=trial))
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.95 - 3 * (0.95 * 0.05 / 150) ** 0.5
    rows = {"x": {"sw": counted(np.arange(40) < 20)}}
    first, again, other = (replicate(dict(rows), ACCURACY, name, draws=9).drawn for name in ("set", "set", "another"))
    assert (first == again).all()
    assert (first != other).any()


def test_a_language_is_one_in_all_tasks_whatever_its_code() -> None:
    def freedom(code: str) -> int:
        tasks = []
        for number, codes in enumerate((("sw", "yo"), (code, "yor_Latn"))):
            rows = {
                (name, 0): {one: counted(np.arange(50) < 20 + 9 * (name == "a") * (n + 1)) for n, one in enumerate(codes)}
                for name in "ab"
            }
            one = replicate(dict(rows), ACCURACY, f"t{number}", draws=50).differences([("a", 0)], [("b", 0)], codes)
            assert one
            tasks.append(one)
        return pooled_interval(tasks).parts[0].freedom

    assert freedom("swh_Latn") == 1
    assert freedom("xho_Latn") == 2
