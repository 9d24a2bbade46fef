"""Retrieval in both directions, by the definitions of mteb (scikit-learn on the rows that were found) and of Glot500."""

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from xdist.metrics import metric, retrieval
from xdist.metrics.bitext import NEAREST, NUMBERS
from xdist.metrics.pooled import replicate
from xdist.report.comparison import compare

NAMES = ("bitext-accuracy", "bitext-f1", "bitext-top10")


def searched(seed: int, pairs: int, noise: float) -> tuple[list[str], list[list[int]]]:
    """Gold of a set whose other side is shuffled, and what a search of noisy vectors finds, from one side, then the other."""
    rng = np.random.default_rng(seed)
    pivot, order = rng.normal(size=(pairs, 8)), rng.permutation(pairs)
    other = np.empty_like(pivot)
    other[order] = pivot + noise * rng.normal(size=pivot.shape)
    cosine = pivot @ other.T
    return [str(row) for row in order], [np.argsort(-row)[:NEAREST].tolist() for row in (*cosine, *cosine.T)]


def by_definition(gold: Sequence[int], rankings: Sequence[Sequence[int]]) -> tuple[float, float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = f1_score(gold, [ranking[0] for ranking in rankings], average="weighted")
    first = np.mean([ranking[0] == row for ranking, row in zip(rankings, gold, strict=True)])
    ten = np.mean([row in ranking for ranking, row in zip(rankings, gold, strict=True)])
    return 100 * float(first), 100 * float(f1), 100 * float(ten)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), pairs=st.integers(1, 40), noise=st.sampled_from([0.3, 1.0, 3.0]))
def test_every_number_is_that_of_its_definition(seed: int, pairs: int, noise: float) -> None:
    gold, predictions = searched(seed, pairs, noise)
    there = [int(row) for row in gold]
    expected = by_definition(there, predictions[:pairs])
    back = by_definition(np.argsort(there).tolist(), predictions[pairs:])
    for name in NAMES:
        one = metric(name)
        found = one.of_rows(one.rows_of(predictions, gold))
        assert [found[number] for number in NUMBERS] == pytest.approx([*expected, *back], abs=1e-9)
        assert one.headline == name.removeprefix("bitext-")


def test_a_pair_is_one_row_and_is_drawn_as_one() -> None:
    one = metric("bitext-accuracy")
    # Row 1 is the translation of sentence 0 and is found for it, but sentence 1 is found for row 1.
    found = one.rows_of([[1, 0], [1, 0], [0, 1], [1, 0]], ["1", "0"])
    assert found[:, [0, 3]].tolist() == [[1, 0], [0, 0]]
    gold, predictions = searched(1, 60, 1.0)
    other = searched(1, 60, 2.0)[1]
    rows = [one.rows_of(said, gold) for said in (predictions, other)]
    assert compare([{"wo": rows[0]}], [{"wo": rows[1]}], one).languages["wo"].count == 60
    assert replicate({"a": {"wo": rows[0]}}, one, "flores", draws=20).drawn.std() > 0


@pytest.mark.parametrize(
    "predictions, gold, message",
    [
        ([[0], [1]], ["0", "1"], "2 predictions for 2 pairs, each to be found from both sides"),
        ([[0], [1], [0], [1]], ["0", "0"], "two sentences have one translation, or a sentence has none"),
    ],
)
def test_what_is_no_pairing_is_refused(predictions: list[list[int]], gold: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        metric("bitext-f1").rows_of(predictions, gold)


def test_hits_of_a_dual_encoder() -> None:
    gold = {"a": ["1", "2"], "b": ["3"], "c": ["4"]}
    said = {"a": ["2"], "b": [*map(str, range(50, 59)), "3"], "c": [*map(str, range(50, 60)), "4"]}
    rows = metric("hit@10").rows_of(said, gold)
    assert rows.tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert metric("hit@10").of_rows(rows) == {"hit@10": pytest.approx(200 / 3), "hit@1": pytest.approx(100 / 3)}
    assert rows[:, 0].tolist() == retrieval.first_hit(said, gold).tolist()
