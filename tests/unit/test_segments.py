"""Segments of the rows of every family: those that the tokenizer gives for the same texts, for any change of their words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_kinds import TEXTS, tiny_kind
from tiny_words import arrays
from transformers import PreTrainedTokenizerBase

from xdist.data.batches import collate, collate_pair, comparable_row
from xdist.data.masking import Masking
from xdist.data.tokenizer import load_tokenizer
from xdist.formats.examples import Choice, Classified, Line, Passage, Query, Question, Sentence, Tagged
from xdist.model.segments import second_texts
from xdist.robust.code_switch import CodeSwitcher
from xdist.tasks.batch import Batch
from xdist.tasks.catalog import task
from xdist.tasks.family import Family, Row, family_of
from xdist.tasks.special_tokens import separator

LONG = " ".join(TEXTS)
WORDS = ("Germany", "euro", "Kenya")
SINGLE: list[tuple[str, list[Any]]] = [
    ("cldr-topic", [Classified(texts=("Germany euro",))]),
    ("udpos", [Tagged(words=WORDS * 20)]),
    ("tatoeba", [("foreign", Sentence(id="f", text="Peru yen")), ("english", Sentence(id="e", text="Chad"))]),
    ("mewslix-pairs", [(Query(id="q", text="Mali"), Passage(id="p", text="Oman", context=" peso"))]),
    ("mlm", [Line(number=number + 1, text="Kenya dollar", new=number % 3 == 0) for number in range(9)]),
]


@pytest.fixture(scope="module", params=["bert", "rembert"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_kind(tmp_path_factory.mktemp("segments") / request.param, request.param)))


def encoded(name: str, examples: Sequence[Any], tokenizer: PreTrainedTokenizerBase, length: int) -> tuple[Family, list[Row]]:
    family = family_of(task(name))
    return family, arrays(family.encode(examples, tokenizer, length))


def found(batch: Batch, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return second_texts(batch, separator(tokenizer)).tolist()


def given(tokenizer: PreTrainedTokenizerBase, *texts: str, **options: Any) -> list[int]:
    """Encoded as one of many: called with a single pair, the tokenizer takes an empty second text for none."""
    return tokenizer(*([text] for text in texts), return_token_type_ids=True, **options)["token_type_ids"][0]


@pytest.mark.parametrize("name, examples", SINGLE, ids=[name for name, _ in SINGLE])
def test_texts_without_a_second(tokenizer: PreTrainedTokenizerBase, name: str, examples: list[Any]) -> None:
    family, rows = encoded(name, examples, tokenizer, 24)
    assert not any(found(collate(rows, range(len(rows)), family), tokenizer))


@pytest.mark.parametrize("length", [512, 20])
def test_pairs_that_are_whole_or_cut(tokenizer: PreTrainedTokenizerBase, length: int) -> None:
    pairs = [("Germany euro", "Kenya dollar"), (LONG, "Peru"), ("Peru", LONG), (LONG, LONG)]
    cut = {"truncation": True, "max_length": length}
    family, rows = encoded("pawsx", [Classified(texts=pair, label="0") for pair in pairs], tokenizer, length)
    expected = [segment for pair in pairs for segment in given(tokenizer, *pair, **cut)]
    assert found(collate(rows, range(len(rows)), family), tokenizer) == expected

    choice = Choice(prompt=LONG, options=("Peru", "", "Chad Mali"), label=1)
    family, rows = encoded("siqa", [choice] * 2, tokenizer, length)
    expected = [segment for option in choice.options for segment in given(tokenizer, LONG, option, **cut)] * 2
    assert found(collate(rows, [0, 1], family), tokenizer) == expected


def test_every_window_of_a_context(tokenizer: PreTrainedTokenizerBase) -> None:
    asked = Question(key="k", id="k", question="Oman yen?", context=LONG)
    family, rows = encoded("squad", [asked], tokenizer, 40)
    assert len(rows) > 2
    expected = [int(place >= row["context"]) for row in rows for place in range(len(row["tokens"]))]
    assert found(collate(rows, range(len(rows)), family), tokenizer) == expected
    assert expected[: len(rows[0]["tokens"])] == given(
        tokenizer, asked.question, LONG, truncation="only_second", max_length=len(rows[0]["tokens"])
    )


def test_masks_leave_the_segments_of_parallel_lines(tokenizer: PreTrainedTokenizerBase) -> None:
    lines = [Line(number=number + 1, text=TEXTS[number], translation=LONG[: 50 + number], new=True) for number in range(20)]
    family, rows = encoded("tlm", lines, tokenizer, 64)
    batch = collate(rows, range(len(rows)), family)
    expected = [
        segment
        for line in lines
        for segment in given(tokenizer, line.text, line.translation or "", truncation=True, max_length=64)
    ]
    assert found(batch, tokenizer) == expected
    masking = Masking(tokenizer, seed=1, rate=0.6)
    for epoch in range(20):
        assert found(masking(batch, [epoch] * len(rows)), tokenizer) == expected


def test_the_border_moves_with_rewritten_words(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    (tmp_path / "en-de.txt").write_text("euro\tyen won peso\nKenya\tPeru Chad\n")
    family, rows = encoded("pawsx", [Classified(texts=("Germany euro", "Kenya dollar"), label="0")], tokenizer, 128)
    method = CodeSwitcher(tokenizer, tmp_path, seed=1, stream=0, probability=1)
    after = [method.rewrite(comparable_row(row, family), family, "en", 0, 0) for row in rows]
    expected = tokenizer("Germany yen won peso", "Peru Chad dollar", return_token_type_ids=True)
    batch = collate_pair(after, rows, [0], family)
    assert batch.plain
    assert batch.tokens.tolist() == expected["input_ids"]
    assert found(batch, tokenizer) == expected["token_type_ids"]
    assert found(batch.plain, tokenizer) == given(tokenizer, "Germany euro", "Kenya dollar")

    question = Question(key="k", id="k", question="euro Kenya", context="Kenya Mali euro Oman")
    family, rows = encoded("squad", [question], tokenizer, 128)
    (row,) = [method.rewrite(comparable_row(row, family), family, "en", 0, 0) for row in rows]
    assert int(row["context"]) > int(rows[0]["context"])
    expected = [int(place >= row["context"]) for place in range(len(row["tokens"]))]
    assert found(collate([row], [0], family), tokenizer) == expected
