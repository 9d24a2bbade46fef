"""Parquet files of the schemas that the hub data sets have."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from xdist.errors import UserError
from xdist.formats import parquet
from xdist.formats.columns import Columns
from xdist.formats.examples import Answer, Choice, Classified, Passage, Query, Question, Sentence, Tagged

NLI = ("entailment", "neutral", "contradiction")


def write(folder: Path, rows: list[dict[str, Any]], name: str = "test-00000-of-00001.parquet") -> Path:
    pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder / name


XNLI = Columns(kind="classified", texts=("premise", "hypothesis"), gold="label", names=NLI)


def test_xnli_of_one_language(tmp_path: Path) -> None:
    path = write(tmp_path, [{"premise": "أ", "hypothesis": "ب", "label": 2}, {"premise": "c", "hypothesis": "d", "label": 0}])
    assert list(parquet.read(path, XNLI, need_gold=True)) == [
        Classified(texts=("أ", "ب"), label="contradiction"),
        Classified(texts=("c", "d"), label="entailment"),
    ]


def test_xnli_of_all_languages(tmp_path: Path) -> None:
    row = {
        "premise": {"ar": "أ", "sw": "moja"},
        "hypothesis": {"language": ["ar", "sw"], "translation": ["ب", "mbili"]},
        "label": 1,
    }
    columns = Columns(kind="classified", texts=("premise.sw", "hypothesis.sw"), gold="label", names=NLI)
    path = write(tmp_path, [row])
    assert list(parquet.read(path, columns)) == [Classified(texts=("moja", "mbili"), label="neutral")]
    columns = Columns(kind="classified", texts=("premise.sw", "hypothesis.sv"), gold="label", names=NLI)
    with pytest.raises(UserError, match=r"parquet:1: no 'sv' for column 'hypothesis.sv'; nearest: 'sw' \(found: ar, sw\)"):
        list(parquet.read(path, columns))


def test_xcopa_and_its_blanked_form(tmp_path: Path) -> None:
    columns = Columns(kind="copa", texts=("premise", "question", "choice1", "choice2"), gold="label")
    row = {
        "premise": "P.",
        "choice1": "a",
        "choice2": "b",
        "question": "effect",
        "label": 0,
        "idx": 0,
        "changed": False,
    }
    path = write(tmp_path, [row, {**row, "label": 1}])
    assert list(parquet.read(path, columns, need_gold=True)) == [
        Choice(prompt="P. What was the effect?", options=("a", "b"), label=0),
        Choice(prompt="P. What was the effect?", options=("a", "b"), label=1),
    ]
    path = write(tmp_path, [row, row])
    assert [example.label for example in parquet.read(path, columns) if isinstance(example, Choice)] == [None, None]
    with pytest.raises(UserError, match="parquet:1: gold is missing or blanked"):
        list(parquet.read(path, columns, need_gold=True))
    assert [e.label for e in parquet.read(write(tmp_path, [{**row, "label": -1}]), columns) if isinstance(e, Choice)] == [None]


def test_siqa_labels_are_text_from_1_to_3(tmp_path: Path) -> None:
    columns = Columns(
        kind="siqa",
        texts=("context", "question", "answerA", "answerB", "answerC"),
        gold="label",
        names=("1", "2", "3"),
    )
    row = {"context": "C.", "question": "Q?", "answerA": "a", "answerB": "b", "answerC": "c", "label": "3"}
    assert list(parquet.read(write(tmp_path, [row]), columns)) == [Choice(prompt="C. Q?", options=("a", "b", "c"), label=2)]


WIKIANN = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")


def features(path: Path, names: tuple[str, ...]) -> Path:
    """A file as the `datasets` library writes it, with the class names in its metadata."""
    kinds = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=list(names)))})
    rows = {"tokens": [["Èkó", "dára"], ["."]], "ner_tags": [[5, 0], [0]]}
    Dataset.from_dict(rows, features=kinds).to_parquet(str(path))
    return path


def test_wikiann_with_declared_names_and_with_names_from_the_file(tmp_path: Path) -> None:
    wanted = [Tagged(words=("Èkó", "dára"), tags=("B-LOC", "O")), Tagged(words=(".",), tags=("O",))]
    path = features(tmp_path / "a.parquet", WIKIANN)
    for names in (WIKIANN, ()):
        columns = Columns(kind="tagged", texts=("tokens",), gold="ner_tags", names=names)
        assert list(parquet.read(path, columns, need_gold=True)) == wanted
    bare = write(tmp_path, [{"tokens": ["Èkó"], "ner_tags": [5]}])
    with pytest.raises(UserError, match=r"parquet:1: class 5 has no name \(0 names: none\)$"):
        list(parquet.read(bare, Columns(kind="tagged", texts=("tokens",), gold="ner_tags")))


def test_names_in_another_order_are_an_error(tmp_path: Path) -> None:
    path = features(tmp_path / "a.parquet", WIKIANN[::-1])
    with pytest.raises(UserError, match=r"a.parquet: column 'ner_tags' has classes .*, expected"):
        list(parquet.read(path, Columns(kind="tagged", texts=("tokens",), gold="ner_tags", names=WIKIANN)))


def test_tags_must_fit_the_words(tmp_path: Path) -> None:
    columns = Columns(kind="tagged", texts=("tokens",), gold="tags")
    with pytest.raises(UserError, match="parquet:1: 1 tags for 2 words"):
        list(parquet.read(write(tmp_path, [{"tokens": ["a", "b"], "tags": ["NOUN"]}]), columns))
    assert list(parquet.read(write(tmp_path, [{"tokens": ["a"], "tags": [""]}]), columns)) == [Tagged(words=("a",))]


SQUAD = Columns(kind="question", texts=("question", "context"), gold="answers", id="id")
SQUAD2 = Columns(kind="squad2", texts=("question", "context"), gold="answers", id="id")


def squad_row(id: str, texts: list[str], starts: list[int]) -> dict[str, Any]:
    answers = {"text": texts, "answer_start": starts}
    return {"id": id, "title": "t", "context": "กรุงเทพ เมืองไทย", "question": "q?", "answers": answers}


def test_squad(tmp_path: Path) -> None:
    rows = [squad_row("1", ["กรุงเทพ", "ไทย"], [0, 13]), squad_row("1", ["กรุงเทพ"], [0])]
    questions = list(parquet.read(write(tmp_path, rows), SQUAD, need_gold=True))
    assert questions[0] == Question(
        key="1",
        id="1",
        question="q?",
        context="กรุงเทพ เมืองไทย",
        answers=(Answer(start=0, text="กรุงเทพ"), Answer(start=13, text="ไทย")),
    )
    assert [question.key for question in questions if isinstance(question, Question)] == ["1", "1#2"]


def test_empty_answers_are_blanked_gold_except_in_squad2(tmp_path: Path) -> None:
    path = write(tmp_path, [squad_row("1", [""], [0])])
    assert [q.answers for q in parquet.read(path, SQUAD) if isinstance(q, Question)] == [None]
    kinds = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
    rows = [squad_row("1", [], []), squad_row("2", ["ไทย"], [13])]
    table = {name: [row[name] for row in rows] for name in ("id", "context", "question")}
    answers = pa.array([row["answers"] for row in rows], type=kinds)
    pq.write_table(pa.table({**table, "answers": answers}), path)
    assert [q.answers for q in parquet.read(path, SQUAD2) if isinstance(q, Question)] == [
        (),
        (Answer(start=13, text="ไทย"),),
    ]
    with pytest.raises(UserError, match="parquet:2: gold here, no gold above"):
        list(parquet.read(path, SQUAD))


def test_an_answer_must_stand_at_its_offset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"parquet:1: question '1': answer 'ไทย' is not at offset 12: there is 'งไท'$"):
        list(parquet.read(write(tmp_path, [squad_row("1", ["ไทย"], [12])]), SQUAD))


def test_tatoeba_and_mewslix(tmp_path: Path) -> None:
    path = write(tmp_path, [{"sentence1": " ერთი", "sentence2": "One"}, {"sentence1": "ორი", "sentence2": "Two"}])
    assert list(parquet.read(path, Columns(kind="aligned", texts=("sentence2",)))) == [
        Sentence(id="0", text="One", gold="0"),
        Sentence(id="1", text="Two", gold="1"),
    ]
    foreign = list(parquet.read(path, Columns(kind="sentence", texts=("sentence1",)), need_gold=True))
    assert foreign[0] == Sentence(id="0", text="ერთი")
    path = write(tmp_path, [{"mention": "Bern: in { Bern }", "entity_id": "Q70"}])
    assert list(parquet.read(path, Columns(kind="query", texts=("mention",), gold="entity_id"))) == [
        Query(id="0", text="Bern: in { Bern }", relevant=("Q70",))
    ]
    path = write(tmp_path, [{"entity_id": "Q70", "description": "Ein Ort."}])
    assert list(parquet.read(path, Columns(kind="passage", texts=("description",), id="entity_id"))) == [
        Passage(id="Q70", text="Ein Ort.")
    ]


def test_a_split_of_several_files_is_one(tmp_path: Path) -> None:
    row = {"premise": "a", "hypothesis": "b", "label": 0}
    first = write(tmp_path, [row], "0.parquet")
    second = write(tmp_path, [{**row, "label": -1}], "1.parquet")
    assert len(list(parquet.read([first, first], XNLI))) == 2
    with pytest.raises(UserError, match=r"1.parquet:1: no gold here, gold above"):
        list(parquet.read([first, second], XNLI))
    aligned = list(parquet.read([first, first], Columns(kind="aligned", texts=("premise",))))
    assert [example.id for example in aligned if isinstance(example, Sentence)] == ["0", "1"]


def test_many_rows_are_streamed_in_order(tmp_path: Path) -> None:
    count = 2 * parquet.ROWS_AT_A_TIME + 3
    path = write(tmp_path, [{"text": str(row)} for row in range(count)])
    columns = Columns(kind="sentence", texts=("text",))
    assert [example.text for example in parquet.read(path, columns) if isinstance(example, Sentence)] == [
        str(row) for row in range(count)
    ]


def test_bad_files(tmp_path: Path) -> None:
    path = write(tmp_path, [{"premise": "a", "hypotheses": "b", "label": 7}])
    with pytest.raises(UserError, match=r"parquet: no column 'hypothesis'; nearest: 'hypotheses' \(found: premise, "):
        list(parquet.read(path, XNLI))
    path = write(tmp_path, [{"premise": "a", "hypothesis": "b", "label": 7}])
    with pytest.raises(UserError, match=r"parquet:1: class 7 has no name \(3 names: entailment, neutral, contradiction\)"):
        list(parquet.read(path, XNLI))
    path = write(tmp_path, [{"premise": "a", "hypothesis": "b", "label": "neutrall"}])
    with pytest.raises(UserError, match="parquet:1: unknown label 'neutrall': did you mean 'neutral'"):
        list(parquet.read(path, XNLI))
    path = write(tmp_path, [{"premise": "a", "hypothesis": 3, "label": 1}])
    with pytest.raises(UserError, match="parquet:1: column 'hypothesis' cannot hold int 3"):
        list(parquet.read(path, XNLI))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not a table")
    with pytest.raises(UserError, match=r"broken.parquet: not a Parquet file"):
        list(parquet.read(broken, XNLI))
    with pytest.raises(UserError, match=r"gone.parquet: no such file"):
        list(parquet.read(tmp_path / "gone.parquet", XNLI))
