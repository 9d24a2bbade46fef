import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.metrics import mining
from xdist.metrics.mining import Candidate, Neighbours


def search(queries: np.ndarray, index: np.ndarray, k: int = mining.NEIGHBOURS) -> Neighbours:
    cosine = queries @ index.T
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return Neighbours(np.take_along_axis(cosine, order, axis=1), order)


def vectors(seed: int, rows: int, width: int = 16) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(rows, width))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_margin_scores_by_hand() -> None:
    # One neighbour each side: foreign 0 and 1 both like English 0 best.
    forward = Neighbours(np.array([[0.9], [0.8]]), np.array([[0], [0]]))
    backward = Neighbours(np.array([[0.9], [0.5]]), np.array([[0], [1]]))
    # 0-0: 0.9 / mean(0.9, 0.9) = 1; 1-1 from the English side: 0.5 / mean(0.5, 0.8); 1-0 scores 0.8 / mean(0.8, 0.9)
    first, second = mining.mine(forward, backward)
    assert first == Candidate(1.0, 0, 0)
    assert second[1:] == (1, 1)
    assert second.score == pytest.approx(0.5 / 0.65)


def test_noisy_translations_are_found_among_others() -> None:
    english = vectors(0, 60)
    foreign = english[np.random.default_rng(1).permutation(60)[:40]]
    truth = {(f, int((english @ foreign[f]).argmax())) for f in range(40)}
    noisy = foreign + 0.05 * vectors(2, 40)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    found = mining.mine(search(noisy, english), search(english, noisy))
    assert {(candidate.foreign, candidate.english) for candidate in found[:40]} == truth


@given(st.integers(0, 50), st.integers(2, 9), st.integers(2, 9))
def test_matches_are_one_to_one_and_fall(seed: int, left: int, right: int) -> None:
    x, y = vectors(seed, left), vectors(seed + 1, right)
    found = mining.mine(search(x, y), search(y, x))
    assert len({candidate.foreign for candidate in found}) == len(found) == len({c.english for c in found})
    assert [candidate.score for candidate in found] == sorted((c.score for c in found), reverse=True)
    assert all(candidate.score > 0 for candidate in found)


def test_repeated_sentences_are_united_and_have_no_id() -> None:
    sentences = ["Bern", "Chur", "Bern", "เชียงใหม่"]
    assert mining.unite(sentences) == [0, 1, 3]
    assert mining.unique_ids(sentences, ["de-1", "de-2", "de-3", "de-4"]) == [None, "de-2", "de-4"]
    candidates = [Candidate(1.2, 0, 0), Candidate(1.1, 1, 1), Candidate(0.9, 2, 2)]
    assert mining.identify(candidates, [None, "de-2", "de-4"], ["en-1", "en-2", None]) == [(1.1, ("de-2", "en-2"))]


def test_threshold_lies_half_way_below_the_best_cut() -> None:
    scored = [(0.9, ("a", "1")), (0.8, ("b", "2")), (0.6, ("c", "9")), (0.5, ("d", "9"))]
    gold = {("a", "1"), ("b", "2"), ("x", "3")}
    assert mining.best_threshold(scored, gold) == pytest.approx(0.7)
    assert mining.extract(scored, 0.7) == {("a", "1"), ("b", "2")}
    assert mining.best_threshold([(0.9, ("a", "1"))], {("a", "1")}) == 0.9
    assert mining.best_threshold([(0.9, ("z", "1"))], {("a", "1")}) == 0
    with pytest.raises(ValueError, match="gold"):
        mining.best_threshold(scored, [])


def test_equal_scores_stand_or_fall_together() -> None:
    scored = [(0.9, ("a", "1")), (0.9, ("z", "9")), (0.9, ("y", "9")), (0.4, ("b", "2"))]
    threshold = mining.best_threshold(scored, {("a", "1"), ("b", "2")})
    assert threshold == 0.4


def pair_scores(predicted: set[tuple[str, str]], gold: set[tuple[str, str]]) -> dict[str, float]:
    of_foreign = {foreign: [english for other, english in gold if other == foreign] for foreign in "abcd"}
    return mining.PAIR_F1.of_rows(mining.PAIR_F1.rows_of(map("\t".join, predicted), of_foreign))


IDS = st.sets(st.tuples(st.sampled_from("abcd"), st.sampled_from("123")))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), IDS.filter(bool))
def test_no_threshold_is_better(scores: list[int], gold: set[tuple[str, str]]) -> None:
    pairs = itertools.product("abcd", "123")
    scored = [(float(score), pair) for score, pair in zip(scores, pairs, strict=False)]

    def f1(threshold: float) -> float:
        return pair_scores(mining.extract(scored, threshold), gold)["f1"]

    assert f1(mining.best_threshold(scored, gold)) == pytest.approx(max(f1(t / 2) for t in range(43)))


@given(IDS, IDS.filter(bool))
def test_pair_f1(predicted: set[tuple[str, str]], gold: set[tuple[str, str]]) -> None:
    result = pair_scores(predicted, gold)
    shared = len(predicted & gold)
    assert result["f1"] == pytest.approx(200 * shared / (len(predicted) + len(gold)))
    assert pair_scores(gold, gold)["f1"] == 100
