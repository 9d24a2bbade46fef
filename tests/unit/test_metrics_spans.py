"""Span F1 as seqeval 0.0.12 counts it, by vectors that were made by running it; and as 1.2.2 does, by vectors made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.errors import UserError
from xdist.metrics import spans

VECTORS = [
    (["CCONJ NOUN"], ["SCONJ NOUN"], 0.5),
    (["SCONJ NOUN"], ["CCONJ NOUN"], 0.5),
    (["CCONJ CCONJ"], ["SCONJ SCONJ"], 0.0),
    (["NOUN NOUN VERB"], ["NOUN VERB VERB"], 0.0),
    (["SYM SYM"], ["SYM NOUN"], 0.5),
    (["SCONJ SCONJ NOUN"], ["SCONJ SCONJ NOUN"], 1.0),
    (["PROPN PROPN PUNCT"], ["PROPN NOUN PUNCT"], 0.4),
    (["DET ADJ NOUN NOUN PUNCT"], ["DET NOUN NOUN NOUN PUNCT"], 4 / 7),
    (["X _ X"], ["X _ X"], 1.0),
    (["NOUN NOUN", "NOUN"], ["NOUN NOUN", "VERB"], 0.5),
    (["O I-PER I-PER O"], ["O B-PER I-PER O"], 1.0),
    (["B-PER I-PER I-PER"], ["B-PER I-PER I-LOC"], 0.0),
    (["B-PER B-PER"], ["B-PER I-PER"], 0.0),
]


def rows_of(predictions: list[list[str]], gold: list[list[str]]) -> np.ndarray:
    return spans.OFFICIAL.rows_of(predictions, gold)


def found(tags: list[str]) -> set[spans.Span]:
    return spans.spans(tags, spans.parse_0_0_12)


def score(predictions: list[str], gold: list[str]) -> dict[str, float]:
    return spans.OFFICIAL.of_rows(rows_of([line.split() for line in predictions], [line.split() for line in gold]))


@pytest.mark.parametrize("gold, predictions, f1", VECTORS)
def test_vectors(gold: list[str], predictions: list[str], f1: float) -> None:
    assert score(predictions, gold)["f1"] == pytest.approx(100 * f1, abs=1e-10)


def test_precision_and_recall_of_a_vector() -> None:
    result = score(["PROPN NOUN PUNCT"], ["PROPN PROPN PUNCT"])
    assert result["precision"] == pytest.approx(100 / 3)
    assert result["recall"] == pytest.approx(50)
    assert result["accuracy"] == pytest.approx(200 / 3)


def test_equal_neighbours_merge_except_those_that_begin_with_s() -> None:
    assert found(["NOUN", "NOUN", "SCONJ", "SCONJ", "SYM"]) == {
        ("NOUN", 0, 1),
        ("SCONJ", 2, 2),
        ("SCONJ", 3, 3),
        ("SYM", 4, 4),
    }


def test_an_inside_tag_opens_an_entity_and_a_begin_tag_splits_one() -> None:
    assert found(["I-PER", "I-PER", "B-PER", "I-LOC", "O", "B-ORG"]) == {
        ("PER", 0, 1),
        ("PER", 2, 2),
        ("LOC", 3, 3),
        ("ORG", 5, 5),
    }


def test_empty_sentences_and_nothing_to_find() -> None:
    none = dict.fromkeys(("f1", "precision", "recall", "f1_seqeval_1.2.2", "precision_seqeval_1.2.2"), 0.0)
    assert score(["O O", ""], ["O O", ""]) == {**none, "accuracy": 100.0}


def test_rows_are_counts_per_sentence() -> None:
    rows = rows_of([["NOUN", "VERB"], ["NOUN"]], [["NOUN", "VERB"], ["VERB"]])
    assert rows.tolist() == [[2, 2, 2, 2, 2, 2, 2, 2], [0, 1, 1, 0, 1, 0, 1, 1]]


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="1 predicted sentences for 2"):
        rows_of([["O"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="sentence 2: 1 predicted tags for 2 words"):
        rows_of([["O"], ["O"]], [["O"], ["O", "O"]])


UPOS = st.sampled_from(["NOUN", "VERB", "CCONJ", "SCONJ", "SYM", "X", "PUNCT"])
NER = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
PAIRS = st.sampled_from([UPOS, NER]).flatmap(lambda tag: st.lists(st.lists(st.tuples(tag, tag), min_size=1), min_size=1))
Pairs = list[list[tuple[str, str]]]


def sides(pairs: Pairs) -> tuple[list[list[str]], list[list[str]]]:
    return [[left for left, _ in sentence] for sentence in pairs], [[right for _, right in sentence] for sentence in pairs]


@given(PAIRS)
def test_f1_is_symmetric_and_in_range(pairs: Pairs) -> None:
    left, right = sides(pairs)
    forward, backward = spans.OFFICIAL.of_rows(rows_of(left, right)), spans.OFFICIAL.of_rows(rows_of(right, left))
    assert forward["f1"] == pytest.approx(backward["f1"])
    assert forward["precision"] == pytest.approx(backward["recall"])
    assert all(0 <= value <= 100 for value in forward.values())


@given(PAIRS)
def test_the_right_answer_scores_100_if_there_is_a_span(pairs: Pairs) -> None:
    gold, _ = sides(pairs)
    rows = rows_of(gold, gold)
    assert spans.OFFICIAL.of_rows(rows)["f1"] == (100 if rows[:, 2].sum() else 0)


@given(PAIRS)
def test_the_order_of_sentences_does_not_matter(pairs: Pairs) -> None:
    rows = rows_of(*sides(pairs))
    assert np.array_equal(rows_of(*sides(pairs[::-1]))[:, :5], rows[::-1, :5])  # of version 1.2.2 it does
    assert spans.OFFICIAL.of_rows(rows) == spans.OFFICIAL.of_rows(rows[::-1])


@given(PAIRS)
def test_counting_by_sentence_is_counting_over_the_joined_sentences(pairs: Pairs) -> None:
    joined = [[pair for sentence in pairs for pair in [*sentence, ("O", "O")]]]
    by_sentence = rows_of(*sides(pairs))[:, :3].sum(axis=0)
    assert np.array_equal(by_sentence, rows_of(*sides(joined))[:, :3].sum(axis=0))


@given(PAIRS)
def test_spans_of_a_sentence_do_not_overlap_and_cover_every_tag_that_is_not_outside(pairs: Pairs) -> None:
    for tags in sides(pairs)[0]:
        covered = [place for _, first, last in found(tags) for place in range(first, last + 1)]
        assert sorted(covered) == [place for place, tag in enumerate(tags) if tag != "O"]


# --- seqeval 1.2.2 --------------------------------------------------------------------------------------------------------
CURRENT = [  # tags of a sentence, and its spans by hand
    ("B-PER I-PER O B-LOC", {("PER", 0, 1), ("LOC", 3, 3)}),
    ("O I-PER I-PER O", {("PER", 1, 2)}),  # I- without B- begins a span
    ("I-PER I-PER B-PER I-LOC O B-ORG", {("PER", 0, 1), ("PER", 2, 2), ("LOC", 3, 3), ("ORG", 5, 5)}),  # another type, too
    ("B-PER B-PER", {("PER", 0, 0), ("PER", 1, 1)}),
    ("B-GEO-LOC I-GEO-LOC I-POL-LOC", {("GEO-LOC", 0, 1), ("POL-LOC", 2, 2)}),  # a type is all that follows the first -
    ("B I I B", {("_", 0, 2), ("_", 3, 3)}),  # without types: all of one
    ("B-PER I-PER E-PER I-PER", {("PER", 0, 2), ("PER", 3, 3)}),  # E- ends a span
    ("S-PER S-PER E-LOC E-LOC", {("PER", 0, 0), ("PER", 1, 1), ("LOC", 2, 2), ("LOC", 3, 3)}),
    ("S-LOC I-LOC O", {("LOC", 0, 0), ("LOC", 1, 1)}),
    ("B-O I-O O", {("O", 0, 1)}),  # a type may be called so
    ("O O", set()),
]


@pytest.mark.parametrize("tags, expected", CURRENT)
def test_spans_of_1_2_2(tags: str, expected: set[spans.Span]) -> None:
    assert spans.spans(tags.split(), spans.parse_1_2_2) == expected


CURRENT_SCORES = [  # gold, predicted, F1, precision, recall, by hand
    (["B-PER I-PER O B-LOC"], ["B-PER I-PER O B-ORG"], 1 / 2, 1 / 2, 1 / 2),
    (["I-PER I-PER O B-LOC"], ["B-PER I-PER O I-LOC"], 1.0, 1.0, 1.0),  # B- for I- of one extent is right
    (["B-PER I-PER I-PER"], ["B-PER I-PER I-LOC"], 0.0, 0.0, 0.0),
    (["B-PER O", "B-LOC I-LOC O"], ["B-PER O", "B-LOC O B-PER"], 2 / 5, 1 / 3, 1 / 2),
    (["B-GEO-LOC"], ["B-POL-LOC"], 0.0, 0.0, 0.0),
    (["O O"], ["O O"], 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize("gold, predicted, f1, precision, recall", CURRENT_SCORES)
def test_scores_of_1_2_2(gold: list[str], predicted: list[str], f1: float, precision: float, recall: float) -> None:
    sides = [[line.split() for line in side] for side in (predicted, gold)]
    found = spans.CURRENT.of_rows(spans.CURRENT.rows_of(*sides))
    assert [found[name] for name in ("f1", "precision", "recall")] == pytest.approx([100 * f1, 100 * precision, 100 * recall])


def test_versions_differ_in_types_with_a_dash() -> None:
    sides = [["B-POL-LOC"]], [["B-GEO-LOC"]]
    assert spans.OFFICIAL.of_rows(spans.OFFICIAL.rows_of(*sides))["f1"] == 100  # as officially: both are LOC
    assert spans.CURRENT.of_rows(spans.CURRENT.rows_of(*sides))["f1"] == 0


@pytest.mark.parametrize("tag", ["NOUN", "X", "PER", "b-per", "B-", "B_PER", "PER-B", "O-PER", "L-PER", ""])
def test_ill_formed_tags_are_refused(tag: str) -> None:
    with pytest.raises(UserError, match=f"^tag '{tag}' is neither O nor B- or I- and a type$"):
        spans.CURRENT.rows_of([["O"]], [[tag]])
    reason = spans.CURRENT.refusal("tagging", ("O", "B-PER", tag), ("sw",)) or ""
    assert reason.startswith(f"metric 'seqeval-1.2.2': label '{tag}' is neither O nor B- or I- and a type")
    assert spans.OFFICIAL.refusal("tagging", ("O", "B-PER", tag), ("sw",)) is None


BIO = st.lists(st.lists(st.tuples(NER, NER), min_size=1), min_size=1)


@given(BIO)
def test_without_dashes_in_types_the_versions_agree(pairs: Pairs) -> None:
    predictions, gold = sides(pairs)
    both = spans.OFFICIAL.rows_of(predictions, gold)
    assert np.array_equal(spans.CURRENT.rows_of(predictions, gold), both[:, :5])
    assert np.array_equal(both[:, :3], both[:, 5:])
