"""EM and F1 of answers. The normaliser vectors were made by running the official files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.errors import UserError
from xdist.metrics import Given, qa

MLQA_LANGUAGES = ("en", "es", "de", "vi", "hi", "ar", "zh")


@pytest.mark.parametrize(
    "text, normalised",
    [
        ("The  U.S. $5-bill!", "us 5bill"),
        ("theatre, a THE an", "theatre"),
        ("北京，中国。", "北京，中国。"),
        ("५० %", "५०"),
        ("ประเทศไทย (Thailand)", "ประเทศไทย thailand"),
        ("الـ«قاهرة»", "الـ«قاهرة»"),
        ("", ""),
    ],
)
def test_squad_normaliser(text: str, normalised: str) -> None:
    assert qa.squad_normaliser(text) == normalised


@pytest.mark.parametrize(
    "language, text, normalised",
    [
        ("en", "The U.S.’s “best” $5", "uss best 5"),
        ("es", "El niño y la niña, ¡unos amigos!", "niño y niña amigos"),
        ("de", "Einer der Männer; des Königs", "männer königs"),
        ("vi", "Những người của là Hà Nội", "người hà nội"),
        ("hi", "भारत, का राजा।", "भारत का राजा"),
        ("ar", "السلام في العالم", "سلام في ع م"),
        ("zh", "北京，2008年 Olympic games！", "北 京 2008 年 olympic games"),
        ("zh", "二〇〇八年", "二 〇〇 八 年"),  # U+3007 is outside U+4E00..U+9FA5
        ("ar", "مدينة؟ القاهرة،", "مدينة قاهرة"),
        ("de", "Nordkurve", "nordkurve"),
    ],
)
def test_mlqa_normaliser(language: str, text: str, normalised: str) -> None:
    assert qa.mlqa_normaliser(language)(text) == normalised


def test_mlqa_has_no_other_language() -> None:
    with pytest.raises(UserError, match="unknown MLQA language 'esp': did you mean 'es'"):
        qa.mlqa_normaliser("esp")
    with pytest.raises(UserError, match="unknown MLQA language 'ru'"):
        qa.mlqa_normaliser("ru")


SQUAD = qa.squad_normaliser


@pytest.mark.parametrize(
    "normaliser, prediction, gold, f1, exact",
    [
        (SQUAD, "北京", "北京市", 0, 0),
        (SQUAD, "the cat sat", "cat sat down", 0.8, 0),
        (SQUAD, "a", "the", 0, 1),
        (qa.mlqa_normaliser("zh"), "北京市", "北京", 0.8, 0),
        (qa.mlqa_normaliser("zh"), "2008年", "2008 年", 1, 1),
        (qa.mlqa_normaliser("ar"), "السلام", "سلام", 1, 1),
        (qa.mlqa_normaliser("hi"), "दिल्ली, भारत।", "दिल्ली", 2 / 3, 0),
        (SQUAD, "दिल्ली भारत।", "भारत। में दिल्ली", 0.8, 0),  # the danda is not ASCII and stays
        (SQUAD, "กรุงเทพมหานคร ประเทศไทย", "กรุงเทพมหานคร", 2 / 3, 0),
        (SQUAD, "", "x", 0, 0),
        (SQUAD, "x x y", "x y y", 2 / 3, 0),
    ],
)
def test_answers(normaliser: qa.Normaliser, prediction: str, gold: str, f1: float, exact: float) -> None:
    assert qa.best(prediction, [gold], normaliser) == (exact, pytest.approx(f1))


def test_maximum_is_taken_for_em_and_f1_separately() -> None:
    # EM comes from the second gold answer (both become empty), F1 from the first.
    assert qa.best("the", ["the cat", "an"], SQUAD) == (1, 0)
    assert qa.best("cat sat", ["cat", "the cat sat on"], SQUAD) == (0, 0.8)


def test_a_missing_id_scores_0_and_counts_and_an_extra_id_is_ignored() -> None:
    rows = qa.SQUAD.rows_of({"1": "Bern", "9": "Basel"}, {"1": ["Bern"], "2": ["Chur"]})
    assert rows.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert qa.SQUAD.of_rows(rows) == {"exact_match": 50, "f1": 50}


def test_an_unanswerable_question_wants_an_empty_prediction() -> None:
    rows = qa.SQUAD.rows_of({"1": "", "2": "the", "3": "x"}, {"1": [], "2": [], "3": [], "4": []})
    assert rows.tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 1], [0, 0, 1]]


def test_an_empty_prediction_of_an_answerable_question_scores_0() -> None:
    assert qa.SQUAD.rows_of({"1": ""}, {"1": ["Bern", "die Stadt Bern"]}).tolist() == [[0, 0, 1]]


def test_mlqa_normalises_as_its_language_needs() -> None:
    rows = [qa.MLQA.rows_of({"1": "Bern"}, {"1": ["die Bern"]}, Given(language=code)).tolist() for code in ("deu", "en")]
    assert rows == [[[1, 1, 1]], [[0, pytest.approx(2 / 3), 1]]]
    assert qa.MLQA.refusal("span-qa", (), ("de", "spa_Latn")) is None
    assert "metric 'mlqa': unknown MLQA language 'sw'" in (qa.MLQA.refusal("span-qa", (), ("de", "sw")) or "")


def test_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="no examples"):
        qa.SQUAD.of_rows(qa.SQUAD.rows_of({}, {}))


TEXT = st.text(alphabet="the an der ال北京2 。,!कไทย\u00a0’x", max_size=20)
NORMALISERS = st.sampled_from([SQUAD, *map(qa.mlqa_normaliser, MLQA_LANGUAGES)])


@given(NORMALISERS, TEXT, TEXT)
def test_f1_is_symmetric_and_between_em_and_1(normaliser: qa.Normaliser, left: str, right: str) -> None:
    exact, f1 = qa.best(left, [right], normaliser)
    assert qa.best(right, [left], normaliser) == (exact, pytest.approx(f1))
    assert 0 <= f1 <= 1
    if exact and normaliser(left):
        assert f1 == 1


@given(NORMALISERS, TEXT)
def test_the_right_answer_scores_100_unless_nothing_is_left_of_it(normaliser: qa.Normaliser, text: str) -> None:
    exact, f1 = qa.best(text, [text], normaliser)
    assert exact == 1
    assert f1 == (1 if normaliser(text) else 0)


@given(NORMALISERS, TEXT, st.lists(TEXT, min_size=1, max_size=4))
def test_more_gold_answers_never_lower_a_score(normaliser: qa.Normaliser, text: str, answers: list[str]) -> None:
    one, many = qa.best(text, answers[:1], normaliser), qa.best(text, answers, normaliser)
    assert many[0] >= one[0]
    assert many[1] >= one[1]
    assert many == qa.best(text, answers[::-1], normaliser)


@given(st.dictionaries(st.sampled_from("abcdef"), TEXT, min_size=1), st.dictionaries(st.sampled_from("abcdef"), TEXT))
def test_the_order_of_questions_does_not_matter(gold: dict[str, str], predictions: dict[str, str]) -> None:
    answers = {id: [text] for id, text in gold.items()}
    rows = qa.SQUAD.rows_of(predictions, answers)
    back = qa.SQUAD.rows_of(predictions, dict(reversed(answers.items())))
    assert np.array_equal(rows, back[::-1])
    assert qa.SQUAD.of_rows(rows) == pytest.approx(qa.SQUAD.of_rows(back))
