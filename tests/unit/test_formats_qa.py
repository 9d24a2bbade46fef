"""SQuAD JSON and LAReQA."""

import json
from pathlib import Path
from typing import Any

import pytest

from xdist.errors import UserError
from xdist.formats import lareqa, squad
from xdist.formats.examples import Answer, Question

CONTEXT = "ประเทศไทย มีเมืองหลวงคือ กรุงเทพ"
START = CONTEXT.index("กรุงเทพ")


def write(folder: Path, *questions: dict[str, Any], context: str = CONTEXT, **paragraph: Any) -> Path:
    path = folder / "xquad.th.json"
    qas = [{"question": "q?", **question} for question in questions]
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas, **paragraph}]}]}))
    return path


def gold(text: str = "กรุงเทพ", start: int = START) -> list[dict[str, Any]]:
    return [{"text": text, "answer_start": start}]


BLANKED = gold("", 0)


def test_questions_in_order_with_unique_keys(tmp_path: Path) -> None:
    path = write(tmp_path, *({"id": id, "answers": gold()} for id in ("7", "7", "8", "7")))
    questions = list(squad.read(path, need_gold=True))
    assert [question.key for question in questions] == ["7", "7#2", "8", "7#3"]
    assert questions[0] == Question(
        key="7", id="7", question="q?", context=CONTEXT, answers=(Answer(start=START, text="กรุงเทพ"),)
    )


def test_keys_stay_unique_beside_ids_that_look_like_keys() -> None:
    key = squad.Keys()
    made = [key(id) for id in ("a", "a#2", "a", "a", "a#2")]
    assert len(set(made)) == 5
    assert made[:2] == ["a", "a#2"]


def test_blanked_and_unanswerable_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path, {"id": "1", "answers": BLANKED}, {"id": "2", "answers": []})
    assert [question.answers for question in squad.read(path)] == [None, None]
    with pytest.raises(UserError, match=r"xquad.th.json: question '1': gold is missing or blanked"):
        list(squad.read(path, need_gold=True))
    path = write(
        tmp_path,
        {"id": "1", "answers": [], "is_impossible": True},
        {"id": "2", "answers": gold(), "is_impossible": False},
    )
    assert [question.answers for question in squad.read(path, need_gold=True)] == [
        (),
        (Answer(start=START, text="กรุงเทพ"),),
    ]


@pytest.mark.parametrize(
    "question, message",
    [
        ({"id": "1", "answers": gold(start=START + 1)}, "question '1': answer 'กรุงเทพ' is not at offset"),
        ({"id": "1", "answers": gold(start=-1)}, "question '1': answer 'กรุงเทพ' is not at offset -1: there is ''"),
        ({"id": "1", "answers": gold() + BLANKED}, "question '1': answer '' is not at offset 0"),
        ({"id": "1", "answers": [{"text": "x"}]}, "question '1': no field 'answer_start' (found: text)"),
        ({"id": "1", "anwers": []}, "question '1': no field 'answers'; nearest: 'anwers'"),
        ({"answers": gold()}, "article 1, paragraph 1: no field 'id'"),
        ({"id": 1, "answers": gold()}, "article 1, paragraph 1: field 'id' must be str, found int 1"),
        ({"id": "1", "answers": BLANKED}, "question '1': no gold here, gold above"),
    ],
)
def test_bad_questions(tmp_path: Path, question: dict[str, Any], message: str) -> None:
    path = write(tmp_path, {"id": "0", "answers": gold()}, question)
    with pytest.raises(UserError) as error:
        list(squad.read(path))
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_a_file_of_another_form(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"dat": []}')
    with pytest.raises(UserError, match=r"x.json: no field 'data'; nearest: 'dat' \(found: dat\)$"):
        list(squad.read(path))


XQUAD = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
REAL = {f"xquad/xquad.{code}": 1190 for code in XQUAD}
REAL |= {
    f"tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{code}.dev": count
    for code, count in {"bn": 113, "en": 440, "fi": 782, "sw": 499, "te": 669}.items()
}
REAL |= {
    f"mlqa/MLQA_V1/dev/dev-context-{code}-question-{code}": count for code, count in {"de": 512, "en": 1148, "hi": 507}.items()
}


@pytest.mark.parametrize("name, count", REAL.items())
def test_real_files(shared_data: Path, name: str, count: int) -> None:
    questions = list(squad.read(shared_data / f"{name}.json", need_gold=True))
    assert len(questions) == count
    assert all(question.key == question.id for question in questions)


def test_real_tydiqa_train_has_few_ids_and_as_many_keys_as_questions(shared_data: Path) -> None:
    path = shared_data / "tydiqa" / "tydiqa-goldp-v1.1-train" / "tydiqa.goldp.en.train.json"
    questions = list(squad.read(path, need_gold=True))
    assert len({question.id for question in questions}) == 89
    assert len({question.key for question in questions}) == len(questions) == 3696


PARAGRAPH = "One. Two is here. One. Four"
BREAKS = [[0, 4], [5, 17], [18, 22], [23, 27]]


def test_lareqa_candidates_and_relevant_sets(tmp_path: Path) -> None:
    asked = [
        {"id": "a", "answers": gold("here", 12)},
        {"id": "b", "answers": gold("One", 18)},  # its sentence appears twice
        {"id": "c", "answers": gold(" ", 4)},  # starts in no sentence: left out
    ]
    path = write(tmp_path, *asked, context=PARAGRAPH, sentence_breaks=BREAKS, sentences=["not", "used"])
    candidates = list(lareqa.passages(path, "en"))
    assert [(passage.id, passage.text) for passage in candidates] == [
        ("en_1_0", "One."),
        ("en_1_1", "Two is here."),
        ("en_1_2", "One."),
        ("en_1_3", "Four"),
    ]
    assert {passage.context for passage in candidates} == {PARAGRAPH}
    queries = list(lareqa.queries({"en": path, "de": path}))
    assert [(query.id, query.relevant) for query in queries] == [
        ("a_en", ("en_1_1", "de_1_1")),
        ("b_en", ("en_1_0", "en_1_2", "de_1_0", "de_1_2")),
        ("a_de", ("en_1_1", "de_1_1")),
        ("b_de", ("en_1_0", "en_1_2", "de_1_0", "de_1_2")),
    ]


def test_lareqa_leaves_out_paragraphs_without_questions(tmp_path: Path) -> None:
    path = write(tmp_path, context=PARAGRAPH, sentence_breaks=BREAKS)
    assert list(lareqa.passages(path, "en")) == []


@pytest.mark.parametrize(
    "breaks, answers, message",
    [
        ([[0, 99]], gold("One", 0), r"paragraph 1: sentence break \[0, 99\] is no \[start, end\) in its context of 27"),
        ([[0]], gold("One", 0), r"paragraph 1: sentence break \[0\] is no"),
        (BREAKS, BLANKED, "question 'a': expected one answer, found 0"),
        (BREAKS, gold("One", 0) + gold("One", 18), "question 'a': expected one answer, found 2"),
    ],
)
def test_bad_lareqa(tmp_path: Path, breaks: Any, answers: Any, message: str) -> None:
    path = write(tmp_path, {"id": "a", "answers": answers}, context=PARAGRAPH, sentence_breaks=breaks)
    with pytest.raises(UserError, match=message):
        list(lareqa.passages(path, "en"))


LAREQA = {"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244}
LAREQA |= {"ru": 1219, "th": 852, "tr": 1167, "vi": 1209, "zh": 1196}


def test_real_lareqa(shared_data: Path) -> None:
    paths = {code: shared_data / "lareqa" / "xquad-r" / f"{code}.json" for code in LAREQA}
    candidates = {code: list(lareqa.passages(path, code)) for code, path in paths.items()}
    assert {code: len(passages) for code, passages in candidates.items()} == LAREQA
    ids = [passage.id for passages in candidates.values() for passage in passages]
    assert len(set(ids)) == len(ids) == 13014
    queries = list(lareqa.queries(paths))
    assert len(queries) == len({query.id for query in queries}) == 11 * 1190
    assert all(query.relevant and len(query.relevant) == 11 for query in queries)
    assert all(len({id.split("_")[0] for id in query.relevant or ()}) == 11 for query in queries)
    assert set(ids) >= {id for query in queries for id in query.relevant or ()}
