"""What `xdist tasks inspect` prints of files in published forms reads them, unchanged."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from published import PUBLISHED, SENTENCES, Published

from xdist.cli import main
from xdist.config.loading import plain_yaml
from xdist.errors import UserError
from xdist.tasks.catalog import with_found_labels
from xdist.tasks.catalog.inspected import inspect_file
from xdist.tasks.catalog.user import user_tasks


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.name)
def test_what_is_printed_reads_the_files(one: Published, tmp_path: Path) -> None:
    one.write(tmp_path / one.name)
    file = tmp_path / one.name / one.file
    done = CliRunner().invoke(main, ["tasks", "inspect", str(file), "--name", "mine"])
    assert done.exit_code == 0, done.output
    (tmp_path / "tasks.yaml").write_text(done.stdout)
    entry = plain_yaml(tmp_path / "tasks.yaml")["tasks"]["mine"]
    assert {key: entry.get(key) for key in one.keys} == one.keys
    assert tuple(entry["languages"]) == one.languages
    root = Path(yaml.safe_load(done.stdout.splitlines()[0].removeprefix("# "))["data"]["root"])
    task = with_found_labels(user_tasks(tmp_path / "tasks.yaml")["mine"], root)
    assert set(task.files) == {"belebele": {"train"}, "flores": {"test"}}.get(one.name, {"train", "dev", "test"})
    for split in task.files:
        for code in task.languages:
            sides = 2 if one.name == "flores" else 1
            assert len(list(task.examples(root, split, code))) == sides * SENTENCES, (split, code)
    shown = [line for line in done.stdout.splitlines() if line.startswith(("# 1. ", "# 2. ", "# 3. "))]
    (split,) = [
        split for split in task.files if file in task.paths(root, split, next(c for c in task.languages if c in one.file))
    ][:1]
    read = task.examples(root, split, next(code for code in task.languages if code in one.file))
    assert shown == [f"# {number}. {next(read)}" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    "name, content, family, message",
    [
        ("a.csv", "id,n\n1,2\n2,3\n", None, "no column looks like what is to be predicted (found: id, n)"),
        ("a.csv", "text,label\nx,y\n", "tagging", "no column looks like the parts of a tagging task"),
        ("a.json", '[{"text": "x"}]', None, "is one JSON value and not SQuAD's"),
        ("a.tsv", "", None, "holds no example"),
        ("a.csv", 'text,label\n"x,y\n', None, ":2: quotes that are not those of CSV"),
        ("a.conllu", "1\tx\t_\t_\t_\t_\t0\t_\t_\t_\n", None, "a treebank without tags"),
        ("a.parquet", "PAR1", None, "not a Parquet file"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\n", None, "Git LFS pointer"),
    ],
)
def test_what_cannot_be_described_is_one_line(
    tmp_path: Path, name: str, content: str, family: str | None, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as error:
        inspect_file(tmp_path / name, family=family or "")
    assert str(tmp_path / name) in str(error.value)
    assert message in str(error.value)


SQUAD = {"data": [{"paragraphs": [{"context": "Ada lọ.", "qas": [{"id": "1", "question": "Ta?", "answers": []}]}]}]}
SQUAD["data"][0]["paragraphs"][0]["qas"][0]["answers"] = [{"text": "Ada", "answer_start": 0}]  # type: ignore[index]
ASKED = {"id": "1", "question": "Ta?", "context": "Ada lọ.", "answers": {"text": ["Ada"], "answer_start": [0]}}


@pytest.mark.parametrize(
    "name, content, entry, first",
    [
        ("qa-yo.json", json.dumps(SQUAD), {"family": "span-qa"}, "Question(key='1'"),
        ("qa-yo.jsonl", json.dumps(ASKED), {"family": "span-qa"}, "Question(key='1'"),
        ("yo.txt", "Ó lọ sí ilé.\n\nÓ dára.\n", {"family": "masked-lm", "files": {"train": "{language}"}}, "Ó lọ sí ilé."),
        ("yo.tsv", "0\tÓ lọ sí ilé ní àná.\n1\tKò dára rárá o.\n" * 3, {"columns": {"text": "2", "label": "1"}}, "Classified"),
        (
            "train_yo",
            "Ó lọ sí ilé ní àná\tÓ dára gan-an ni\tentailment\nKò dára rárá o\tÓ dára gan-an ni\tneutral\n" * 3,
            {"form": "tsv", "columns": {"text1": "1", "text2": "2", "label": "3"}},
            "Classified(texts=('Ó lọ sí ilé ní àná', 'Ó dára gan-an ni'), label='entailment')",
        ),
        (
            "yo.jsonl",
            json.dumps({"tokens": ["Ada", "lọ"], "ner_tags": ["B-PER", "O"]}),
            {"family": "tagging", "columns": {"word": "tokens", "tag": "ner_tags"}, "labels": ["B-PER", "O"]},
            "Tagged(words=('Ada', 'lọ'), tags=('B-PER', 'O'))",
        ),
    ],
)
def test_other_forms(tmp_path: Path, name: str, content: str, entry: dict[str, object], first: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    seen = inspect_file(tmp_path / name, name="mine")
    (tmp_path / "tasks.yaml").write_text(seen.text)
    found = plain_yaml(tmp_path / "tasks.yaml")["tasks"]["mine"]
    assert {key: found.get(key) for key in entry} == entry
    assert found["languages"] == ["yo"]
    assert seen.first[0].startswith(first)


def test_sentences_of_two_files(tmp_path: Path) -> None:
    for code in ("eng_Latn", "yor_Latn", "ewe_Latn"):
        (tmp_path / f"{code}.devtest").write_text("".join(f"{code} {n}\n" for n in range(9)))
    for code in ("eng_Latn", "yor_Latn"):
        (tmp_path / f"{code}.txt").write_text("x\n" * 9)
    assert "has as many lines" in inspect_file(tmp_path / "yor_Latn.txt").remarks[-1]
    seen = inspect_file(tmp_path / "yor_Latn.devtest")
    assert seen.text == inspect_file(tmp_path / "yor_Latn.devtest", family="sentence-retrieval").text
    (tmp_path / "tasks.yaml").write_text(seen.text)
    (task,) = user_tasks(tmp_path / "tasks.yaml").values()
    assert task.languages == ("ewe_Latn", "yor_Latn")
    assert len(list(task.examples(seen.root, "test", "ewe_Latn"))) == 18
    (tmp_path / "eng_Latn.devtest").unlink()
    with pytest.raises(UserError, match="no file in English"):
        inspect_file(tmp_path / "yor_Latn.devtest", family="sentence-retrieval")
    assert "('foreign', Sentence(id='0', text='yor_Latn 0'" in seen.first[0]


def test_splits_that_folders_are_called_by(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        for code in ("hau", "yor"):
            (tmp_path / "mine" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "mine" / split / f"{code}.csv").write_text("text,label\nx,a\ny,b\n")
    seen = inspect_file(tmp_path / "mine/validation/hau.csv", tmp_path)
    assert "files: {train: 'mine/train/{language}.csv', dev: 'mine/validation/{language}.csv'}" in seen.text
    assert seen.remarks == ()
    (tmp_path / "hau.csv").write_text("text,label\nx,a\ny,b\n")
    assert inspect_file(tmp_path / "hau.csv").remarks[0].endswith("put `files` right")


def test_a_name_that_the_catalog_has_is_not_given(tmp_path: Path) -> None:
    next(one for one in PUBLISHED if one.name == "sib").write(tmp_path)
    seen = inspect_file(tmp_path / "sib200/yor_Latn/test.tsv")
    assert "\n  my-sib200:" in seen.text
