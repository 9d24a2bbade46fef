import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.metrics.accuracy import ACCURACY
from xdist.metrics.counts import precision_recall_f1, ratio


def test_lines_compare_as_stripped_text() -> None:
    rows = ACCURACY.rows_of(["neutral", " 12 ", 1, "การ", "07"], ["neutral\n", 12, "1", "กา", "7"])
    assert rows[:, 0].tolist() == [1, 1, 1, 0, 0]
    assert rows[:, 1].tolist() == [1] * 5
    assert ACCURACY.of_rows(rows) == {"accuracy": 60.0}


def test_tags_are_counted_over_the_words_of_all_sentences() -> None:
    rows = ACCURACY.rows_of([["NOUN", "VERB", "X"], ["X"]], [("NOUN", "NOUN", "X"), ("X",)])
    assert rows.tolist() == [[2, 3], [1, 1]]
    assert ACCURACY.of_rows(rows) == {"accuracy": 75.0}
    with pytest.raises(ValueError, match="example 2: 2 predicted for 1"):
        ACCURACY.rows_of([["X"], ["X", "X"]], [("X",), ("X",)])


def test_lengths_must_agree_and_something_must_be_there() -> None:
    with pytest.raises(ValueError, match="2 predictions for 3 examples"):
        ACCURACY.rows_of("ab", "abc")
    with pytest.raises(ValueError, match="no examples"):
        ACCURACY.of_rows(ACCURACY.rows_of([], []))


LABELS = st.lists(st.tuples(st.sampled_from("012"), st.sampled_from("012")), min_size=1)


@given(LABELS)
def test_in_range_symmetric_and_free_of_order(pairs: list[tuple[str, str]]) -> None:
    left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    value = ACCURACY.of_rows(ACCURACY.rows_of(left, right))
    assert value == ACCURACY.of_rows(ACCURACY.rows_of(right, left))
    assert value == ACCURACY.of_rows(ACCURACY.rows_of(left[::-1], right[::-1]))
    assert 0 <= value["accuracy"] <= 100
    assert ACCURACY.of_rows(ACCURACY.rows_of(left, left)) == {"accuracy": 100}


def test_ratios_and_f1_of_nothing() -> None:
    assert ratio([1, 0, 0], [2, 2, 0]).tolist() == [0.5, 0, 0]
    assert precision_recall_f1(0, 0, 0) == {"f1": 0, "precision": 0, "recall": 0}
    assert precision_recall_f1(1, 2, 4)["f1"] == pytest.approx(1 / 3)
