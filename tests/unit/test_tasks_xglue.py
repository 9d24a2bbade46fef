"""XGLUE's nine understanding tasks: the released files, the hub's Parquet copy, counts, and files of another form."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_xglue import SOME, pawsx_of, tiny_xglue

from xdist.errors import UserError
from xdist.fetch.parts import data_sets, subsets_of_task
from xdist.formats.examples import Answer, Classified, Question, Tagged
from xdist.metrics import metric
from xdist.tasks.catalog import task
from xdist.tasks.catalog.xglue import ROOT, TOPICS, UNDERSTANDING, UNIQUE
from xdist.tasks.check import check_split, files_there

LANGUAGES = {"ner": 4, "pos": 18, "nc": 5, "mlqa": 7, "xnli": 15, "pawsx": 4, "qadsm": 3, "wpr": 7, "qam": 3}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_xglue(tmp_path_factory.mktemp("xglue"))


def test_xglue_has_nine_understanding_tasks_and_four_of_its_own() -> None:
    assert {name.removeprefix("xglue-"): len(task(name).languages) for name in UNDERSTANDING} == LANGUAGES
    assert set(UNIQUE) < set(UNDERSTANDING)
    assert {metric(task(name).metric).headline for name in UNIQUE} == {"accuracy", "ndcg"}
    assert (task("xglue-pos").count("test", "vi"), task("xglue-wpr").count("dev", "en")) == (800, 10_008)
    assert [task("xglue-pos").count("train", "en"), task("xglue-ner").count("test", "nl")] == [25_377, 5_202]
    for name in UNDERSTANDING:
        assert task(name).trained_on == (name,)
        for split in ("dev", "test"):
            assert all(task(name).count(split, code) for code in task(name).languages)


def test_xglue_files_as_released(root: Path) -> None:
    there = files_there(root, [task(name) for name in UNDERSTANDING])
    assert {(entry.name, code) for entry, split, code in there if split == "test"} == {
        (name, code) for name, codes in SOME.items() for code in codes
    }
    for entry, split, code in there:
        found = check_split(entry, root, split, code)
        assert found.gold
        assert found.remark == "a part", (entry.name, split, code)


@pytest.mark.parametrize(
    "name, split, code, file, text, expected",
    [
        ("nc", "test", "de", "NC/xglue.nc.de.test", 'Ein "Titel"\tEin Text\tautos', (('Ein "Titel"', "Ein Text"), "autos")),
        ("qadsm", "dev", "fr", "QADSM/xglue.qadsm.fr.dev", "lac\tLe lac\tgrand\tGood", (("lac", "Le lac grand"), "Good")),
        ("wpr", "test", "zh", "WPR/xglue.wpr.zh.test", "湖\t大湖\t很大\t4", (("湖", "大湖 很大"), "4")),
        ("qam", "train", "en", "QAM/xglue.qam.en.train", "Who?\tShe.\t1", (("Who?", "She."), "1")),
        ("xnli", "test", "ur", "XNLI/ur.test", "a\tb\tneutral", (("a", "b"), "neutral")),
        (
            *("xnli", "train", "en", "XNLI/multinli.train.en.tsv", "premise\thypo\tlabel\na\tb\tcontradictory"),
            (("a", "b"), "contradiction"),
        ),
        (
            *("pawsx", "test", "de", "PAWSX/de/test_2k.tsv", "id\tsentence1\tsentence2\tlabel\n1\ta\tb\t0"),
            (("a", "b"), "0"),
        ),
    ],
)
def test_xglue_rows_are_what_the_baseline_reads(
    tmp_path: Path, name: str, split: str, code: str, file: str, text: str, expected: tuple[tuple[str, str], str]
) -> None:
    (path := tmp_path / ROOT / file).parent.mkdir(parents=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    assert list(task(f"xglue-{name}").examples(tmp_path, split, code)) == [Classified(texts=expected[0], label=expected[1])]


def test_xglue_tagged_words(tmp_path: Path) -> None:
    (path := tmp_path / ROOT / "NER/es.test").parent.mkdir(parents=True)
    path.write_text("-DOCSTART- -X-\n\nLa O\nCoruña I-LOC\n\n\nViệt Nam I-LOC\n\n", encoding="utf-8")
    assert list(task("xglue-ner").examples(tmp_path, "test", "es")) == [
        Tagged(words=("La", "Coruña"), tags=("O", "I-LOC")),
        Tagged(words=("Việt Nam",), tags=("I-LOC",)),
    ]
    path.write_text("La\nCoruña\n", encoding="utf-8")
    assert [one.tags for one in task("xglue-ner").examples(tmp_path, "test", "es")] == [None]
    for text, message in (
        ("La\tO\n", r"es.test:1: expected 'word tag', with one blank between, found a tab"),
        ("La O\nCoruña I-LOK\n", r"es.test:2: unknown tag 'I-LOK': did you mean 'I-LOC'"),
        ("La O\nCoruña\n", r"es.test:2: no tag here, a tag above"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            list(task("xglue-ner").examples(tmp_path, "test", "es"))


def test_xglue_mlqa_lies_in_a_folder_of_either_name(root: Path, tmp_path: Path) -> None:
    entry, folder = task("xglue-mlqa"), tmp_path / ROOT / "MLQA/MLQA_v1/dev"
    folder.mkdir(parents=True)
    name = "dev-context-de-question-de.json"
    (folder / name).write_bytes((root / ROOT / "MLQA/MLQA_V1/dev" / name).read_bytes())
    assert entry.paths(tmp_path, "dev", "de") == (folder / name,)
    assert len(list(entry.examples(tmp_path, "dev", "de"))) == 8
    assert entry.paths(tmp_path, "dev", "en")[0].parent.parent.name == "MLQA_V1"


# --- real data that XGLUE took as it is --------------------------------------------------------------------------------------
def test_xglue_real_files(shared_data: Path, tmp_path: Path) -> None:
    for split, codes in (("dev", ("de", "en", "fr")), ("test", ("de",))):
        for code in codes:
            pawsx_of(shared_data / f"pawsx/{split}-{code}.tsv", tmp_path / ROOT / f"PAWSX/{code}/{split}_2k.tsv")
    folder = tmp_path / ROOT / "MLQA/MLQA_V1/dev"
    folder.mkdir(parents=True)
    for code in ("de", "en", "hi"):
        name = f"dev-context-{code}-question-{code}.json"
        (folder / name).write_bytes((shared_data / "mlqa/MLQA_V1/dev" / name).read_bytes())
    for split, code in (("dev", "en"), ("test", "en"), ("test", "de")):
        (path := tmp_path / ROOT / f"POS/{code}.{split}").parent.mkdir(exist_ok=True)
        text = (shared_data / f"udpos/{split}-{code}.tsv").read_text(encoding="utf-8")
        path.write_text(text.replace("\t", " "), encoding="utf-8")
    there = files_there(tmp_path, [task(name) for name in ("xglue-pawsx", "xglue-mlqa", "xglue-pos")])
    assert len(there) == 4 + 3 + 3
    for entry, split, code in there:
        found = check_split(entry, tmp_path, split, code)
        assert (found.count, found.remark) == (found.official, ""), (entry.name, split, code)


# --- the Parquet copy ----------------------------------------------------------------------------------------------------
HUB: list[tuple[str, str, str, dict[str, Any], tuple[str, ...], Any]] = [
    ("ner", "ner", "de", {"words": ["Oslo", "ist"], "ner": [5, 0]}, task("xglue-ner").labels, ("B-LOC", "O")),
    ("pos", "pos", "vi", {"words": ["a", "b"], "pos": [0, 16]}, task("xglue-pos").labels, ("ADJ", "X")),
    ("nc", "nc", "ru", {"news_title": "q", "news_body": "t x", "news_category": 9}, TOPICS, "autos"),
    (
        *("xnli", "xnli", "sw", {"premise": "q", "hypothesis": "t x", "label": 2}),
        *(("entailment", "neutral", "contradiction"), "contradiction"),
    ),
    ("pawsx", "paws-x", "es", {"sentence1": "q", "sentence2": "t x", "label": 1}, ("different", "same"), "1"),
    (
        *("qadsm", "qadsm", "fr", {"query": "q", "ad_title": "t", "ad_description": "x", "relevance_label": 1}),
        *(("Bad", "Good"), "Good"),
    ),
    (
        *("wpr", "wpr", "pt", {"query": "q", "web_page_title": "t", "web_page_snippet": "x", "relavance_label": 4}),
        *(("Bad", "Fair", "Good", "Excellent", "Perfect"), "4"),
    ),
    (
        *("wpr", "wpr", "it", {"query": "q", "wed_page_title": "t", "web_page_snippet": "x", "relavance_label": 1}),
        *(("Bad", "Fair", "Good", "Excellent", "Perfect"), "1"),
    ),
    ("qam", "qam", "de", {"question": "q", "annswer": "t x", "label": 0}, ("False", "True"), "0"),
]


def hub_file(root: Path, config: str, split: str, rows: list[dict[str, Any]], names: tuple[str, ...] = ()) -> Path:
    """As the hub's script wrote it: class numbers, their names in the metadata of the file."""
    path = root / "hub/hgissbkh/xglue" / config / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    gold = list(rows[0])[-1]
    label = {"names": list(names), "_type": "ClassLabel"}
    feature = {"feature": label, "_type": "Sequence"} if isinstance(rows[0][gold], list) else label
    features = {"info": {"features": {gold: feature}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}) if names else table, path)
    return path


@pytest.mark.parametrize("name, config, code, row, names, gold", HUB, ids=[f"{one[0]}-{one[2]}" for one in HUB])
def test_xglue_hub_columns(
    tmp_path: Path, name: str, config: str, code: str, row: dict[str, Any], names: tuple[str, ...], gold: Any
) -> None:
    entry = task(f"xglue-{name}")
    path = hub_file(tmp_path, config, f"validation.{code}", [row], names)
    assert entry.paths(tmp_path, "dev", code) == (path,)
    (example,) = entry.examples(tmp_path, "dev", code)
    if isinstance(gold, tuple):
        assert example == Tagged(words=tuple(row["words"]), tags=gold)
    else:
        assert example == Classified(texts=("q", "t x"), label=gold)


def test_xglue_hub_answers_have_no_ids(tmp_path: Path) -> None:
    row = {"context": "am See", "question": "Wo?", "answers": {"answer_start": [3], "text": ["See"]}}
    hub_file(tmp_path, "mlqa", "test.de", [row, row])
    answers = (Answer(start=3, text="See"),)
    assert list(task("xglue-mlqa").examples(tmp_path, "test", "de")) == [
        Question(key=id, id=id, question="Wo?", context="am See", answers=answers) for id in ("0", "1")
    ]


def test_xglue_hub_classes_that_the_task_does_not_have(tmp_path: Path) -> None:
    row = {"news_title": "q", "news_body": "t", "news_category": 1}
    hub_file(tmp_path, "nc", "test.de", [row], ("foodanddrink", "sport"))
    with pytest.raises(UserError, match="column 'news_category': unknown class 'sport': did you mean 'sports'"):
        list(task("xglue-nc").examples(tmp_path, "test", "de"))


def test_xglue_sentences_that_the_hub_lost_are_named(tmp_path: Path) -> None:
    """Its script drops the last sentence of every POS file, and has no Portuguese."""
    entry, row = task("xglue-pos"), {"words": ["a"], "pos": [7]}
    hub_file(tmp_path, "pos", "test.vi", [row] * 799, entry.labels)
    assert check_split(entry, tmp_path, "test", "vi").remark == "the last one of the released file is not in the hub's copy"
    hub_file(tmp_path, "pos", "test.th", [row] * 498, entry.labels)
    assert check_split(entry, tmp_path, "test", "th").remark == ""
    hub_file(tmp_path, "pos", "test.zh", [row] * 400, entry.labels)
    assert check_split(entry, tmp_path, "test", "zh").remark == "a part"
    hub_file(tmp_path, "pos", "test.pt", [row], entry.labels)
    assert entry.paths(tmp_path, "test", "pt")[0].suffix != ".parquet"


def test_xglue_fetches_a_split_of_each_language(tmp_path: Path) -> None:
    parts = {
        name: data_sets([(subset, True) for subset in subsets_of_task(task(name), ())], tmp_path)[0][0].parts
        for name in ("xglue-qam", "xglue-pos")
    }
    assert parts["xglue-qam"] == (
        *("qam/train", "qam/validation.de", "qam/validation.en", "qam/validation.fr"),
        *("qam/test.de", "qam/test.en", "qam/test.fr"),
    )
    assert len(parts["xglue-pos"]) == 1 + 17 + 17
