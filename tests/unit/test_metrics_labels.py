"""Macro and weighted F1 and Matthews' coefficient are those of scikit-learn, also under every draw of the bootstrap."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from xdist.files import digest
from xdist.metrics import Given, Metric, metric
from xdist.metrics.pooled import replicate
from xdist.report.comparison import compare

NAMES = ("macro-f1", "weighted-f1", "mcc")
LABELS = tuple("abcde")
Labels = Sequence[str]
OTHERS: dict[str, Callable[[Labels, Labels], float]] = {
    "macro_f1": lambda gold, said: f1_score(gold, said, average="macro", zero_division=0),
    "weighted_f1": lambda gold, said: f1_score(gold, said, average="weighted", zero_division=0),
    "mcc": matthews_corrcoef,
    "accuracy": accuracy_score,
}
# Labels of few kinds too: where one side is constant, or labels of the task are in neither.
SETS = st.sampled_from(["a", "ab", "abc", "abcde"]).flatmap(
    lambda of: st.lists(st.tuples(st.sampled_from(of), st.sampled_from("abcde")), min_size=1, max_size=40)
)


def scikit_learn(name: str, gold: Labels, said: Labels) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return 100 * float(OTHERS[name](gold, said))


def rows(one: Metric, gold: Sequence[Labels | str], said: Sequence[Labels | str]) -> np.ndarray:
    return one.rows_of(said, gold, Given(labels=LABELS))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60)
@given(pairs=SETS)
def test_every_number_is_that_of_scikit_learn(name: str, pairs: list[tuple[str, str]]) -> None:
    one, (gold, said) = metric(name), zip(*pairs, strict=True)
    found = one.of_rows(rows(one, gold, said))
    assert found == {number: pytest.approx(scikit_learn(number, gold, said), abs=1e-9) for number in one.numbers}
    assert one.headline == name.replace("-", "_")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8), seed=st.integers(0, 10**6))
def test_the_words_of_sentences_count_one_by_one(name: str, lengths: list[int], seed: int) -> None:
    one, rng = metric(name), np.random.default_rng(seed)
    gold, said = ([rng.choice(list("abc"), size=length).tolist() for length in lengths] for _ in "ab")
    words = [[tag for sentence in side for tag in sentence] for side in (gold, said)]
    found = rows(one, gold, said)
    assert len(found) == len(lengths)
    assert one.of_rows(found)[one.headline] == pytest.approx(scikit_learn(one.headline, *words), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_draw_is_scored_as_a_test_set_is(name: str) -> None:
    one, rng = metric(name), np.random.default_rng(0)
    gold = rng.choice(list("aaaab"), size=25).tolist()  # some draws have no b at all
    said = {system: [g if rng.random() < right else "c" for g in gold] for system, right in (("a", 0.9), ("b", 0.5))}
    found = replicate({system: {"sw": rows(one, gold, of)} for system, of in said.items()}, one, "task", draws=30)
    drawing = np.random.default_rng([0, int(digest("task"), 16), 25])
    for number, draw in enumerate(drawing.integers(25, size=(30, 25))):
        expected = [scikit_learn(one.headline, [gold[n] for n in draw], [of[n] for n in draw]) for of in said.values()]
        assert found.drawn[number, :, 0].tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_differences_are_those_of_the_scores(name: str) -> None:
    one, rng = metric(name), np.random.default_rng(1)
    gold = rng.choice(LABELS, size=80).tolist()
    said = [[g if rng.random() < right else rng.choice(LABELS) for g in gold] for right in (0.8, 0.4)]
    row = compare(*[[{"sw": rows(one, gold, of)}] for of in said], one).languages["sw"]
    first, second = (scikit_learn(one.headline, gold, of) for of in said)
    assert (row.a, row.b, row.interval.difference) == tuple(map(pytest.approx, (first, second, first - second)))
    assert row.interval.low <= row.interval.difference <= row.interval.high


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "gold, said, message",
    [
        ("ab", "a", "1 predictions for 2 examples"),
        ([["a", "b"]], [["a"]], "example 1: 1 predicted for 2"),
        ("ab", "az", "example 2: 'z' is no label of the task"),
    ],
)
def test_what_cannot_be_counted_is_refused(name: str, gold: Labels, said: Labels, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        rows(metric(name), gold, said)
