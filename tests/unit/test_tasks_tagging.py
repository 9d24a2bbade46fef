"""Tagging: long sentences are cut into rows at word boundaries and joined again; no word is lost."""

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_benchmark, tiny_model
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.formats.examples import Tagged
from xdist.tasks.catalog import task
from xdist.tasks.family import Row
from xdist.tasks.given_words import joining_form
from xdist.tasks.special_tokens import around_pair, around_text
from xdist.tasks.tagging import Tagging


class Table:
    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.rows])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder = tmp_path_factory.mktemp("tagging")
    return AutoTokenizer.from_pretrained(tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark")))


@pytest.fixture(scope="module")
def real_tokenizer(demo_encoder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(demo_encoder)


def joined(family: Tagging, rows: list[Row], examples: list[Tagged]) -> list[list[str]]:
    """What `finish` makes of predictions that are the gold."""
    return family.finish([np.asarray(row["labels"]) for row in rows], Table(rows), examples)


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_special_tokens_round_texts(tmp_path: Path, kind: str) -> None:
    tiny_model(tmp_path / "encoder", tiny_benchmark(tmp_path / "benchmark"), kind=kind)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("Peru Chad", "Kenya"))
    before, after = around_text(tokenizer)
    assert [*before, *first, *after] == tokenizer("Peru Chad")["input_ids"]
    before, between, after = around_pair(tokenizer)
    assert [*before, *first, *between, *second, *after] == tokenizer("Peru Chad", "Kenya")["input_ids"]


def test_a_long_sentence_is_several_rows(tokenizer: PreTrainedTokenizerBase) -> None:
    family = Tagging(task("udpos"))
    words = tuple(["Germany", "and", "Kenya"] * 30)
    example = Tagged(words=words, tags=("PROPN", "CCONJ", "PROPN") * 30)
    rows = list(family.encode([example], tokenizer, 24))
    assert len(rows) > 3
    assert all(len(row["tokens"]) <= 24 for row in rows)
    assert joined(family, rows, [example]) == [list(example.tags or ())]


def test_official_rows_hold_a_piece_less(tmp_path: Path) -> None:
    """XTREME's scripts end XLM-R's rows with both ends of a first text: 125 pieces for 126. BERT's rows are the same."""
    root = tiny_benchmark(tmp_path / "benchmark")
    for kind, room in (("xlm-roberta", 125), ("bert", 126)):
        tiny_model(tmp_path / kind, root, kind=kind)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / kind)
        pieces = sorted(tokenizer.get_vocab())
        words = (next(one for one in ("a", *pieces) if len(tokenizer.tokenize(one)) == 1 and one.isalpha()),) * 300
        lengths = {}
        for joining in ("joined", "official"):
            family = Tagging(task("udpos"))
            family.joining = joining  # type: ignore[assignment]
            rows = list(family.encode([Tagged(words=words, tags=("CCONJ",) * 300)], tokenizer, 128))
            lengths[joining] = [len(row["words"]) for row in rows]
            before, between, after = around_pair(tokenizer)
            ends = between if joining == "official" else after
            assert all(list(row["tokens"][: len(before)]) == before for row in rows)
            assert all(list(row["tokens"][-len(ends) :]) == ends for row in rows)
            assert joined(family, rows, [Tagged(words=words)]) == [["CCONJ"] * 300]
        assert lengths == {"joined": [126, 126, 48], "official": [room, room, 300 - 2 * room]}
        assert joining_form(task("udpos"), tokenizer, "official") == ["official"]


@pytest.mark.parametrize(
    "name, split, codes, length", [("udpos", "test", ("en", "wo", "yo", "tl"), 32), ("panx", "dev", ("my", "ka", "pa"), 24)]
)
def test_real_sentences_are_joined_to_all_their_words(
    shared_data: Path, real_tokenizer: PreTrainedTokenizerBase, name: str, split: str, codes: tuple[str, ...], length: int
) -> None:
    family = Tagging(task(name))
    further = 0
    for code in codes:
        examples = list(family.task.examples(shared_data, split, code))
        rows = list(family.encode(examples, real_tokenizer, length))
        further += len(rows) - len(examples)
        assert max(len(row["tokens"]) for row in rows) <= length
        tags = joined(family, rows, examples)
        assert tags == [list(example.tags or ()) for example in examples]
        assert family.score(tags, examples, code)["f1"] == 100.0
    assert further > 100
