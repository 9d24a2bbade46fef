"""Mixed pairs: prepared once per language, joined as they are read, equal to what the tokenizer makes of the pair."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resolved_of import prepared_of
from tiny import tiny_benchmark, tiny_model
from tiny_families import tiny_families
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.config import load_run
from xdist.data.pairs import PairShards, longest_first
from xdist.data.prepare import Preparation
from xdist.errors import UserError
from xdist.resolve.resolved import resolve
from xdist.tasks.catalog import task

RECIPE = Path(__file__).resolve().parents[2] / "jobs" / "runs" / "xtreme-r" / "xnli.yaml"
LENGTH = 20


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder = tmp_path_factory.mktemp("pairs")
    return AutoTokenizer.from_pretrained(tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark")))


def preparation(folder: Path, tokenizer: PreTrainedTokenizerBase, *overrides: str, name: str = "xnli-pairs") -> Preparation:
    options = [f"data.root={folder}", f"data.cache={folder / 'prepared'}", f"data.max_length={LENGTH}", *overrides]
    run = load_run(RECIPE, [*options, f"evaluate.tasks=[{name}]"])
    return prepared_of(run, tokenizer, "evaluate")


def test_rows_are_those_of_the_tokenizer(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    made = preparation(tiny_families(tmp_path), tokenizer)
    assert len(made.subsets) == 9
    made.make_missing()
    assert sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "prepared").iterdir()) == [
        f"xnli-pairs-test-{code}" for code in ("de", "en", "sw")
    ]
    assert made.missing() == []
    truncated = 0
    for subset, shards in zip(made.subsets, made.shards(made.subsets), strict=True):
        examples = list(subset.task.examples(tmp_path, "test", subset.language))
        assert len(shards) == len(examples) == len(shards.tokens)
        assert shards.column("example").tolist() == list(range(len(examples)))
        for number, example in enumerate(examples):
            row = shards.row(number)
            expected = tokenizer(*example.texts, truncation=True, max_length=LENGTH)["input_ids"]
            assert row["tokens"].tolist() == expected
            assert row["lengths"].tolist() == [len(expected)] == [shards.tokens[number]]
            assert row["cut"] == len(tokenizer(*example.texts)["input_ids"]) - len(expected)
            assert subset.task.labels[row["label"]] == example.label
            truncated += int(row["cut"] > 0)
    assert truncated > 10


def test_a_start_needs_the_files_of_both_languages(tmp_path: Path) -> None:
    folder = tiny_families(tmp_path / "data")
    backbone = tiny_model(tmp_path / "encoder", tiny_benchmark(tmp_path / "benchmark"))
    options = [f"data.root={folder}", f"model.backbone={backbone}", f"folder={tmp_path / 'run'}", "evaluate.tasks=[xnli-pairs]"]
    run = load_run(RECIPE, [*options, "train.tasks=[{task: xnli}]", "train.select=null"])
    assert len(resolve(run).scored) == 9
    (missing,) = task("xnli").paths(folder, "test", "sw")
    missing.unlink()
    assert len(resolve(run).scored) == 4
    named = run.model_copy(update={"evaluate": load_run(RECIPE, [*options, "evaluate.languages=[de-sw]"]).evaluate})
    with pytest.raises(UserError, match=rf"^{re.escape(str(missing))}: no such file \(xnli-pairs test de-sw\)$"):
        resolve(named)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40))
def test_longest_first_cuts_the_longer(first: int, second: int, room: int) -> None:
    kept = [int(side[0]) for side in longest_first(np.array([first]), np.array([second]), room)]
    while first + second > room:  # one token at a time, off the longer text; off the first where they are equal
        first, second = (first, second - 1) if second > first else (first - 1, second)
    assert sorted(kept) == sorted((first, second))
    assert sum(kept) == first + second


def test_files_that_are_not_parallel(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = tiny_families(tmp_path) / "xnli/test-de.tsv"
    lines = path.read_text().splitlines()
    for text, message in (
        (lines[:-1], r"xnli-pairs test en-de: 20 and 19 rows: the files are not parallel"),
        ([*lines[:-1], "a\tb\t" + ("neutral" if "neutral" not in lines[-1] else "entailment")], r"en-de: row 20: the labels"),
    ):
        path.write_text("\n".join(text) + "\n")
        made = preparation(tmp_path, tokenizer, "evaluate.languages=[en-de]")
        made.make_missing()
        with pytest.raises(UserError, match=message):
            list(made.shards(made.subsets))


def test_pairs_of_which_one_language_has_no_gold(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = tiny_families(tmp_path) / "xnli/test-de.tsv"
    path.write_text("".join(line.rpartition("\t")[0] + "\n" for line in path.read_text().splitlines()))
    made = preparation(tmp_path, tokenizer, "evaluate.languages=[en-de,de-en,en-en]")
    made.make_missing()
    for subset, shards in zip(made.subsets, made.shards(made.subsets), strict=True):
        labels = [example.label for example in subset.task.examples(tmp_path, "test", subset.language)]
        assert list(shards.column("label")) == [-1 if label is None else subset.task.labels.index(label) for label in labels]
        assert (None in labels) == (subset.language != "en-en")


def test_rows_that_are_left_out_on_either_side(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    for code, rows in (("en", "a b\tc\t1\nd\te\t0\nf\tg\t1\n"), ("de", "h\ti\t1\nNS\tk\t0\nl m\tNS\t0\n")):
        path = tmp_path / f"pawsx/test-{code}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(rows)
    made = preparation(tmp_path, tokenizer, "evaluate.languages=[en-de,en-en]", name="pawsx-pairs")
    made.make_missing()
    assert {subset.language: len(shards) for subset, shards in zip(made.subsets, made.shards(made.subsets), strict=True)} == {
        "en-de": 1,
        "en-en": 3,
    }
    shards = next(iter(made.shards(made.subsets)))
    assert isinstance(shards, PairShards)
    assert shards.row(0)["tokens"].tolist() == tokenizer("a b", "i")["input_ids"]
