import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.metrics import retrieval


def names(numbers: list[int]) -> list[str]:
    return [str(number) for number in numbers]


@pytest.mark.parametrize(
    "relevant, ranking, value",
    [
        ([1, 2, 3], [1, 9, 2, 8, 3], 0.7556),
        ([1, 2, 3], [9, 1], 0.1667),
        ([5], [1, 2, 3, 4, 5], 0.2),
        (list(range(25)), list(range(25)), 1.0),
        ([1, 2], [1, 1, 2], (1 + 2 / 3) / 2),  # an item counts once, its repeat takes a rank
        ([21], list(range(1, 22)), 0.0),  # rank 21 is beyond 20
        ([20], list(range(1, 22)), 0.05),
        ([1], [], 0.0),
    ],
)
def test_average_precision(relevant: list[int], ranking: list[int], value: float) -> None:
    assert retrieval.average_precision(names(ranking), names(relevant)) == pytest.approx(value, abs=5e-5)


def test_reciprocal_rank_of_single_golds() -> None:
    golds = {"a": ["Q1"], "b": ["Q2"], "c": ["Q3"]}
    rows = retrieval.MAP.rows_of({"a": ["Q9", "Q1"], "b": ["Q2"], "x": ["Q3"]}, golds)
    assert rows.tolist() == [[0.5, 1], [1.0, 1], [0.0, 1]]
    assert retrieval.MAP.of_rows(rows) == {"map@20": pytest.approx(50)}


def test_first_hit() -> None:
    golds = {"a": ["1", "2"], "b": ["3"], "c": ["4"], "d": ["5"]}
    rows = retrieval.first_hit({"a": ["2", "9"], "b": ["9", "3"], "c": []}, golds)
    assert rows.tolist() == [1, 0, 0, 0]


def test_a_query_needs_something_relevant() -> None:
    with pytest.raises(ValueError, match="without relevant items"):
        retrieval.average_precision(["1"], [])


ITEMS = st.lists(st.integers(0, 30).map(str), max_size=40)


@given(ITEMS, st.sets(st.integers(0, 30).map(str), min_size=1))
def test_average_precision_is_in_range_and_best_for_the_relevant_first(ranking: list[str], relevant: set[str]) -> None:
    value = retrieval.average_precision(ranking, relevant)
    assert 0 <= value <= 1
    assert math.isclose(retrieval.average_precision([*sorted(relevant), *ranking], relevant), 1)


@given(ITEMS, st.integers(0, 30).map(str))
def test_with_one_relevant_item_it_is_the_reciprocal_rank(ranking: list[str], gold: str) -> None:
    rank = ranking.index(gold) + 1 if gold in ranking else 99
    assert retrieval.average_precision(ranking, [gold]) == (1 / rank if rank <= 20 else 0)


@given(st.dictionaries(st.sampled_from("abcd"), ITEMS), st.dictionaries(st.sampled_from("abcd"), ITEMS.filter(bool)))
def test_the_order_of_queries_does_not_matter(rankings: dict[str, list[str]], gold: dict[str, list[str]]) -> None:
    back = retrieval.MAP.rows_of(rankings, dict(reversed(gold.items())))
    assert np.array_equal(retrieval.MAP.rows_of(rankings, gold), back[::-1])
