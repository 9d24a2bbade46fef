"""Files in the forms that people publish, read as their description says, and each error named by its file and row."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from xdist.errors import UserError
from xdist.formats import tables
from xdist.formats.examples import Answer, Choice, Classified, Question, Sentence, Tagged
from xdist.tasks.catalog import Task, with_found_labels
from xdist.tasks.catalog.user import user_tasks

NEWS = ("politics", "sport")
PARQUET = "a Parquet file"


def own(root: Path, family: str, name: str, content: str | dict[str, list[Any]], **keys: Any) -> Task:
    """The task of one file, which is both what it is trained on and its test set."""
    path = root / name
    if isinstance(content, dict):
        pq.write_table(pa.table(content), path)
    else:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    entry = {"family": family, "languages": ["yor_Latn"], "files": {"train": name, "test": name}, **keys}
    described = root / f"tasks-{len(list(root.iterdir()))}.yaml"
    described.write_text(yaml.safe_dump({"tasks": {"mine": entry}}))
    return with_found_labels(user_tasks(described)["mine"], root)


def read(root: Path, *arguments: Any, **keys: Any) -> list[Any]:
    return list(own(root, *arguments, **keys).examples(root, "test", "yor_Latn"))


SAID = [("ìròyìn", "sport"), ('he said "no", twice', "politics"), ("NA", "sport"), ("2024-05-01", "politics")]
JSON = "".join(json.dumps({"id": n, "tweet": text, "gold": gold}) + "\n" for n, (text, gold) in enumerate(SAID))
CSV = 'id,tweet,gold\r\n0,ìròyìn,sport\r\n1,"he said ""no"", twice",politics\r\n2,NA,sport\r\n3,2024-05-01,politics\r\n'


@pytest.mark.parametrize(
    "name, content, keys",
    [
        ("a.csv", CSV, {}),
        ("a.csv", "\ufeff" + CSV.replace("\r\n", "\n") + "\n\n", {}),
        ("a[1]*.csv", CSV, {}),  # a name that looks like a pattern
        ("a.csv", CSV.partition("\n")[2], {"columns": {"text": 2, "label": 3}}),
        ("a.txt", CSV, {"form": "csv"}),
        ("a.tsv", "gold\ttweet\n" + "".join(f"{gold}\t{text}\n" for text, gold in SAID), {}),
        ("a.tsv", "".join(f"{gold}\t{text}\n" for text, gold in SAID), {"columns": {"text": 2, "label": 1}}),
        ("a.tsv", CSV.replace(",", "\t").replace('no""\t', 'no"",'), {"quotes": True}),
        ("a.jsonl", JSON, {}),
        ("a.jsonl", JSON + "\n\n", {}),
        ("a.jsonl", JSON + json.dumps({"gold": "sport", "tweet": "x", "more": 1}), {}),
        ("a.parquet", {"tweet": [text for text, _ in SAID], "gold": [gold for _, gold in SAID], "n": [1, 2, 3, 4]}, {}),
    ],
)
@pytest.mark.parametrize("labels", [NEWS, None])
def test_texts_and_labels(tmp_path: Path, name: str, content: Any, keys: Any, labels: Any) -> None:
    task = own(
        tmp_path, "classification", name, content, labels=labels, **({"columns": {"text": "tweet", "label": "gold"}} | keys)
    )
    assert task.labels == NEWS
    found = list(task.examples(tmp_path, "test", task.own("yo")))[: len(SAID)]
    assert found == [Classified(texts=(text,), label=gold) for text, gold in SAID]


@pytest.mark.parametrize(
    "texts", [["2024-05-01", "2024-05-02"], ["12:30:00", "01"], ["1e5", "true"], ["null", ""], ["[1]", "NaN"]]
)
def test_texts_stay_what_they_are(tmp_path: Path, texts: list[str]) -> None:
    """Against the guesses of a library."""
    rows = "".join(json.dumps({"text": text, "label": "sport"}) + "\n" for text in texts)
    table = {"text": texts, "label": ["sport"] * len(texts)}
    tsv = "text\tlabel\n" + "".join(f"{text}\tsport\n" for text in texts)
    for name, content in (("a.jsonl", rows), ("a.parquet", table), ("a.tsv", tsv), ("a.csv", tsv.replace("\t", ","))):
        assert [one.texts for one in read(tmp_path, "classification", name, content, **CLASSES)] == [
            (text,) for text in texts
        ], name


def test_names_of_values_and_texts_of_several_columns(tmp_path: Path) -> None:
    columns = {"text": ["headline", "body"], "label": "y"}
    content = "headline,body,y\nOne,two,0\nThree,four,1\n"
    expected = [Classified(texts=("One two",), label="bad"), Classified(texts=("Three four",), label="good")]
    for names in (["bad", "good"], {0: "bad", 1: "good"}):
        assert read(tmp_path, "classification", "a.csv", content, columns=columns, names=names) == expected
    rows = {"headline": ["One", "Three"], "body": ["two", "four"], "y": [0, 1]}
    assert read(tmp_path, "classification", "a.parquet", rows, columns=columns, names=["bad", "good"]) == expected


def test_tables_without_a_header(tmp_path: Path) -> None:
    """As the official ones are: the texts, and the label after them."""
    for name, keys in (("a.tsv", {}), ("a.txt", {"form": "tsv"})):
        found = read(tmp_path, "classification", name, "A\tB\tsport\n", **keys)
        assert found == [Classified(texts=("A", "B"), label="sport")]
        found = read(tmp_path, "classification", name, "A\tsport\n", texts=1, **keys)
        assert found == [Classified(texts=("A",), label="sport")]
    found = read(tmp_path, "classification", "a.csv", "1,2\nA,sport\n", columns={"text": "1", "label": "2"}, header=True)
    assert found == [Classified(texts=("A",), label="sport")]


def test_pairs(tmp_path: Path) -> None:
    columns = {"text1": "premise", "text2": "hypothesis", "label": "gold"}
    content = "premise\thypothesis\tgold\nA\tB\tentailment\n"
    found = read(tmp_path, "classification", "a.tsv", content, columns=columns)
    assert found == [Classified(texts=("A", "B"), label="entailment")]


CLASSES = {"columns": {"text": "text", "label": "label"}, "labels": list(NEWS)}


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", "text,label\nx,sport\ny,sports\n", ":3: unknown label 'sports'"),
        ("a.csv", 'text,label\n"x\ny",sport\nz\n', ":4: expected 2 columns as in the header, found 1"),
        ("a.csv", "text,label\nx,sport\ny,sport,z\n", ":3: expected 2 columns as in the header, found 3"),
        ("a.csv", "text,label\nx,sport,z\ny,sport\n", ":2: expected 2 columns as in the header, found 3"),
        ("a.csv", 'text,label\nx,"sport\ny,sport\n', ":2: quotes that are not those of CSV"),
        ("a.csv", "text,label\nx,sport\n\udcff,sport\n", ":3: not UTF-8: byte 0xff"),
        ("a.csv", "text,label,text\nx,sport,y\n", ":1: a column 'text' appears here twice"),
        ("a.csv", "texte,label\nx,sport\n", ":2: no 'text' for column 'text'; nearest: 'texte'"),
        ("a.csv", "text,label\nx,sport\ny,\n", ":3: gold is missing or blanked"),
        ("a.csv", "text,label\n", ": holds no example"),
        ("a.tsv", "text\tlabel\nx\tsport\ny\n", ":3: expected 2 columns as in the header, found 1"),
        ("a.jsonl", '{"text": "x", "label": "sport"}\n{"text": "y"}\n', ":2: gold is missing or blanked"),
        ("a.jsonl", '{"text": "x", "label": "sport"}\n{"text": 5, "label": "sport"}\n', ":2: column 'text' cannot hold int 5"),
        ("a.jsonl", '{"text": "x", "label": "sport"}\n{"text": "y", "lab', ":2: not JSON"),
        ("a.jsonl", '{"text": "x", "label": "sport"}\n\n{"text": "y", "label": "sport"}\n', ":2: not JSON"),
        ("a.jsonl", '{"text": "x", "label": "sport"}\n{"text": "\\ud800", "label": "sport"}\n', ":2: "),
        ("a.jsonl", '{"text": "x", "label": 0.5}\n', ":1: a label cannot be float 0.5"),
        ("a.parquet", {"text": ["x", "y"], "label": ["sport", None]}, ":2: gold is missing or blanked"),
        ("a.parquet", {"text": ["x", None], "label": ["sport", "sport"]}, ":2: column 'text' cannot hold NoneType"),
        ("a.parquet", "text,label\n", ": not a Parquet file"),
        ("a.csv", PARQUET, ": is a Parquet file, not a text"),
    ],
)
def test_mistakes_are_a_line_with_file_and_row(tmp_path: Path, name: str, content: Any, message: str, capfd: Any) -> None:
    if content == PARQUET:
        pq.write_table(pa.table({"text": ["x"]}), tmp_path / "b.parquet")
        content = (tmp_path / "b.parquet").read_bytes().decode("utf-8", "surrogateescape")
    with pytest.raises(UserError) as error:
        read(tmp_path, "classification", name, content, **CLASSES)
    assert f"{tmp_path / name}{message}" in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_of_another_form_is_none_without_gold(tmp_path: Path) -> None:
    assert read(tmp_path, "classification", "a.csv", "text,n\nx,1\n", unlabelled=True, **CLASSES) == [Classified(texts=("x",))]
    with pytest.raises(UserError, match="nearest: 'lable'"):
        read(tmp_path, "classification", "a.csv", "text,lable\nx,sport\n", unlabelled=True, **CLASSES)
    for content in ("x,B-PER\ny,O\n", "x|B-PER\ny|O\n"):
        with pytest.raises(UserError, match="no tab"):
            read(tmp_path, "tagging", "a.conll", content, labels=["O", "B-PER"], unlabelled=True)


NER = [Tagged(words=("Ada", "lọ"), tags=("B-PER", "O")), Tagged(words=("#", "!"), tags=("O", "O"))]


@pytest.mark.parametrize(
    "name, content, keys",
    [
        ("a.txt", "Ada B-PER\nlọ O\n\n# O\n! O\n\n\n", {"form": "conll"}),
        ("a.txt", "-DOCSTART- O\n\nAda B-PER\nlọ O\n\n-DOCSTART- O\n\n# O\n! O\n", {"form": "conll"}),
        ("a.conll", "Ada NN x B-PER\nlọ NN x O\n\n# NN x O\n! NN x O\n", {"columns": {"word": 1, "tag": 4}}),
        ("a.tsv", "1\tAda\tB-PER\n2\tlọ\tO\n\n1\t#\tO\n2\t!\tO\n", {"columns": {"word": 2, "tag": 3}}),
        (
            "a.iob2",
            "# id = 1\n1\tAda\tB-PER\t-\n2\tlọ\tO\t-\n\n1\t#\tO\t-\n2\t!\tO\t-\n",
            {"columns": {"word": 2, "tag": 3}, "comment": "# "},
        ),
        ("a.txt", "en:Ada\tB-PER\nen:lọ\tO\n\nen:#\tO\nen:!\tO\n", {"form": "conll", "strip": "prefix"}),
        ("a.txt", "Ada 1\nlọ 0\n\n# 0\n! 0\n", {"form": "conll", "names": {0: "O", 1: "B-PER"}}),
        (
            "a.jsonl",
            '{"tokens": ["Ada", "lọ"], "tags": [1, 0]}\n{"tokens": ["#", "!"], "tags": [0, 0]}\n',
            {"columns": {"word": "tokens", "tag": "tags"}, "names": ["O", "B-PER"]},
        ),
        (
            "a.parquet",
            {"tokens": [["Ada", "lọ"], ["#", "!"]], "tags": [["B-PER", "O"], ["O", "O"]]},
            {"columns": {"word": "tokens", "tag": "tags"}},
        ),
    ],
)
def test_words_and_tags(tmp_path: Path, name: str, content: Any, keys: Any) -> None:
    for labels in (["O", "B-PER"], None):
        task = own(tmp_path, "tagging", name, content, labels=labels, **keys)
        assert sorted(task.labels) == ["B-PER", "O"]
        assert list(task.examples(tmp_path, "test", "yor_Latn")) == NER


BANK = (
    "# text = Vámonos al mar\n1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_\n1\tVamos\tir\tVERB\tVB\t_\t0\troot\t_\t_\n"
    "2\tnos\t_\tPRON\tPR\t_\t1\tobj\t_\t_\n2.1\tya\t_\tADV\tRB\t_\t_\t_\t_\t_\n3\tmar\t_\tNOUN\tNN\t_\t1\tobl\t_\tSpaceAfter=No\n\n"
)


def test_treebanks(tmp_path: Path) -> None:
    for keys, tags in (({}, ("VERB", "PRON", "NOUN")), ({"columns": {"tag": 5}}, ("VB", "PR", "NN"))):
        (found,) = read(tmp_path, "tagging", "a.conllu", BANK, metric="accuracy", labels=sorted(tags), **keys)
        assert (found.words, found.tags) == (("Vamos", "nos", "mar"), tags)
        assert own(tmp_path, "tagging", "a.conllu", BANK, metric="accuracy", **keys).labels == tuple(sorted(tags))


@pytest.mark.parametrize(
    "content, message",
    [
        ("Ada B-PER\nlọ\n", ":2: no tag here, a tag above"),
        ("Ada B-PER\nlọ X\n", ":2: unknown tag 'X'"),
        ("Ada\nlọ\n", ":2: gold is missing"),
        ("Ada B-PER\n\n# sent 2\nx O\n", ":3: unknown tag '2'"),
    ],
)
def test_mistakes_in_conll(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, "tagging", "a.conll", content, labels=["O", "B-PER"])
    assert f"{tmp_path}/a.conll{message}" in str(error.value)


def test_choices_questions_and_translations(tmp_path: Path) -> None:
    record = {
        "flores_passage": "P",
        "question": "Q?",
        **{f"mc_answer{n}": f"a{n}" for n in (1, 2, 3, 4)},
        "correct_answer_num": "3",
    }
    columns = {
        "prompt": ["flores_passage", "question"],
        "options": [f"mc_answer{n}" for n in (1, 2, 3, 4)],
        "label": "correct_answer_num",
    }
    found = read(tmp_path, "multiple-choice", "a.jsonl", json.dumps(record), columns=columns, names=["1", "2", "3", "4"])
    assert found == [Choice(prompt="P Q?", options=("a1", "a2", "a3", "a4"), label=2)]
    asked = {"id": "q", "question": "Who?", "context": "It was Ada.", "answers": {"text": ["Ada"], "answer_start": [7]}}
    (question,) = read(tmp_path, "span-qa", "a.jsonl", json.dumps(asked))
    assert isinstance(question, Question)
    assert question.answers == (Answer(start=7, text="Ada"),)
    (tmp_path / "eng_Latn.txt").write_text("one\ntwo\n\n")
    (tmp_path / "yo.txt").write_text("ọ̀kan\n\nmẹ́ta\n")
    described = {"family": "sentence-retrieval", "languages": ["yor"], "files": {"test": "{language}.txt"}, "form": "parallel"}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({"tasks": {"mine": {**described, "codes": {"yor": "yo"}}}}))
    sides = list(user_tasks(tmp_path / "t.yaml")["mine"].examples(tmp_path, "test", "yor"))
    expected = [("foreign", Sentence(id="0", text="ọ̀kan")), ("english", Sentence(id="0", text="one", gold="0"))]
    assert sides == expected
    content = "sentence1,sentence2\nọ̀kan,one\n,two\n"
    columns = {"text1": "sentence1", "text2": "sentence2"}
    assert read(tmp_path, "sentence-retrieval", "a.csv", content, columns=columns) == expected


def test_a_copy_on_the_hub_has_columns_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "hub/someone/news/yo"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"headline": ["ìròyìn"], "category": [1]}), folder / "test-00000-of-00001.parquet")
    hub = {"id": "someone/news", "config": "{language}", "splits": {"test": "test"}, "codes": {"yor_Latn": "yo"}}
    hub |= {"columns": {"text": "headline", "label": "category"}, "names": list(NEWS)}
    entry = {"family": "classification", "languages": ["yor_Latn"], "files": {"test": "{language}.csv"}, **CLASSES, "hub": hub}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({"tasks": {"news": entry}}))
    task = user_tasks(tmp_path / "t.yaml")["news"]
    assert list(task.examples(tmp_path, "test", "yor_Latn")) == [Classified(texts=("ìròyìn",), label="sport")]
    (tmp_path / "yor_Latn.csv").write_text("text,label\nx,politics\n")
    assert list(task.examples(tmp_path, "test", "yor_Latn")) == [Classified(texts=("x",), label="politics")]


def test_what_is_read_is_part_of_what_is_prepared(tmp_path: Path) -> None:
    forms = {
        repr(own(tmp_path, "classification", "a.csv", "a,b,label\nx,y,0\n", **keys).form)
        for keys in (
            {"columns": {"text": "a", "label": "label"}},
            {"columns": {"text": "b", "label": "label"}},
            {"columns": {"text": "a", "label": "label"}, "names": {0: "no"}},
            {"columns": {"text": "a", "label": "label"}, "labels": ["0", "1"]},
        )
    }
    assert len(forms) == 4


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_datasets_reads_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """And not the reader of ours that says what is wrong."""
    given: list[Any] = []
    theirs = getattr(tables, f"{form}_rows")
    monkeypatch.setattr(tables, f"{form}_rows", lambda *words: (given.append(row) or row for row in theirs(*words)))  # type: ignore[func-returns-value]
    number = 2500  # more than are requested at a time
    rows: dict[str, Any] = {
        "csv": "text,label\n" + "x,sport\n" * number,
        "json": '{"text": "x", "label": "sport"}\n' * number,
        "parquet": {"text": ["x"] * number, "label": ["sport"] * number},
    }
    found = read(tmp_path, "classification", f"a.{form}{'l' if form == 'json' else ''}", rows[form], **CLASSES)
    assert [Classified(texts=(row["text"],), label=row["label"]) for row in given] == found
    assert len(found) == number


def test_nothing_is_asked_of_a_network_or_kept_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    before = sorted(home.rglob("*")) if home.is_dir() else None
    for name, content in (("a.csv", "text,label\nx,sport\n"), ("a.parquet", {"text": ["x"], "label": ["sport"]})):
        assert read(tmp_path, "classification", name, content, **CLASSES)
    assert (sorted(home.rglob("*")) if home.is_dir() else None) == before


def test_languages_of_a_description_are_named_in_any_code(tmp_path: Path) -> None:
    keys = {"labels": ["sport"], "train_languages": ["yo"], "counts": {"test": {"yor": 3}, "train": 4}}
    entry = own(tmp_path, "classification", "a.csv", "text,label\nx,sport\n", **keys)
    assert entry.train_languages == ("yor_Latn",)
    assert (entry.count("test", "yor_Latn"), entry.count("train", "yor_Latn")) == (3, 4)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"columns": {"text": "a"}, "family": "tagging"}, "columns: a tagging task has {word, tag}"),
        ({"columns": {"text1": "a"}}, "columns: a classification task has {text, label} or {text1, text2, label}"),
        ({"columns": {"txt": "a"}}, "columns"),
        ({"form": "conll"}, "form: a classification task is read from tsv, csv, jsonl, parquet, not conll"),
        ({"codes": {"sw": "x"}}, "codes.sw: is not among its `languages`"),
        ({"languages": ["yo", "yor_Latn"], "files": {"train": "{language}"}}, "'yor_Latn' is the language of 'yo' above"),
        ({"labels": []}, "labels: a classification task needs some"),
        ({"train_languages": ["yo", "sw"]}, "train_languages.1: unknown language 'sw': (valid: yor_Latn)"),
        ({"counts": {"test": {"sw": 3}}}, "counts.test.sw: unknown language 'sw': (valid: yor_Latn)"),
    ],
)
def test_descriptions_that_cannot_be(tmp_path: Path, keys: Any, message: str) -> None:
    family = keys.pop("family", "classification")
    with pytest.raises(UserError) as error:
        own(tmp_path, family, "a.csv", "text,label\nx,sport\n", **keys)
    assert message in str(error.value)
