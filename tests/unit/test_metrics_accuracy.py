import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.metrics import accuracy
from xdist.metrics.counts import percent, precision_recall_f1


def test_lines_compare_as_stripped_text() -> None:
    rows = accuracy.per_example(["neutral", " 12 ", 1, "การ", "07"], ["neutral\n", 12, "1", "กา", "7"])
    assert rows.tolist() == [1, 1, 1, 0, 0]
    assert accuracy.score(rows) == {"accuracy": 60.0}


def test_lengths_must_agree_and_something_must_be_there() -> None:
    with pytest.raises(ValueError, match="2 predictions for 3 examples"):
        accuracy.per_example("ab", "abc")
    with pytest.raises(ValueError, match="no examples"):
        accuracy.score(accuracy.per_example([], []))


LABELS = st.lists(st.tuples(st.sampled_from("012"), st.sampled_from("012")), min_size=1)


@given(LABELS)
def test_in_range_symmetric_and_free_of_order(pairs: list[tuple[str, str]]) -> None:
    left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    value = accuracy.score(accuracy.per_example(left, right))
    assert value == accuracy.score(accuracy.per_example(right, left))
    assert value == accuracy.score(accuracy.per_example(left[::-1], right[::-1]))
    assert 0 <= value["accuracy"] <= 100
    assert accuracy.score(accuracy.per_example(left, left)) == {"accuracy": 100}


def test_percent_and_f1_of_nothing() -> None:
    assert percent(0.5) == 50
    assert precision_recall_f1(0, 0, 0) == {"f1": 0, "precision": 0, "recall": 0}
    assert precision_recall_f1(1, 2, 4)["f1"] == pytest.approx(100 / 3)
