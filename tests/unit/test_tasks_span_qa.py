"""Span question answering: windows, targets by character offsets, the best legal span over all windows."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_benchmark, tiny_model
from tiny_families import paragraph, squad_file
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.config import Model as ModelSection
from xdist.data.batches import collate
from xdist.errors import UserError
from xdist.formats import squad
from xdist.formats.examples import Answer, Question
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.tasks.batch import View
from xdist.tasks.catalog import task
from xdist.tasks.family import Row
from xdist.tasks.span_qa import ANSWER, BEST, STRIDE, SpanQA, best_spans, windows

ROOM = 40  # tokens of a window in these tests: the small contexts need several


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qa")
    return tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark"))


@pytest.fixture(scope="module")
def tokenizer(encoder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(encoder)


@pytest.fixture(scope="module")
def family() -> SpanQA:
    return SpanQA(task("squad"))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    path = tmp_path_factory.mktemp("squad") / "squad.json"
    path.write_text(json.dumps(squad_file([paragraph(random.Random(3), 40, f"q{n}") for n in range(5)])))
    return list(squad.read(path))


class Table:
    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.rows])


# --- windows -------------------------------------------------------------------------------------------------------------
def official_windows(tokens: int, room: int, stride: int) -> list[tuple[int, int, set[int]]]:
    """(low, high, tokens that have their widest context here), as the official script defines them, token by token."""
    lows = [0]
    while lows[-1] + room < tokens:
        lows.append(lows[-1] + stride)
    spans = [(low, min(low + room, tokens)) for low in lows]
    owned: list[set[int]] = [set() for _ in spans]
    for place in range(tokens):
        widths = [
            min(place - low, high - 1 - place) + 0.01 * (high - low) if low <= place < high else -1.0 for low, high in spans
        ]
        owned[max(range(len(spans)), key=lambda number: (widths[number], -number))].add(place)
    return [(low, high, own) for (low, high), own in zip(spans, owned, strict=True)]


@given(st.integers(0, 900), st.integers(1, 380))
@settings(max_examples=60, deadline=None)
def test_windows_are_the_official_ones(tokens: int, room: int) -> None:
    expected = official_windows(tokens, room, min(STRIDE, room))
    found = windows(tokens, room)
    assert [(low, high) for low, high, _, _ in found] == [(low, high) for low, high, _ in expected]
    assert [set(range(first, last)) for _, _, first, last in found] == [own for _, _, own in expected]


def test_rows_of_a_long_context(family: SpanQA, tokenizer: PreTrainedTokenizerBase, examples: list[Question]) -> None:
    rows = list(family.encode(examples, tokenizer, ROOM))
    assert len(rows) > len(examples)
    specials = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    for number, example in enumerate(examples):
        own = [row for row in rows if row["example"] == number]
        context = tokenizer(example.context, add_special_tokens=False)["input_ids"]
        question = tokenizer(example.question, add_special_tokens=False)["input_ids"]
        seen: list[int] = []
        for row in own:
            head, size = row["context"], len(row["begins"])
            assert row["lengths"] == [len(row["tokens"])]
            assert len(row["tokens"]) <= ROOM
            assert row["tokens"][:head] == [specials[0], *question[: head - 3], specials[1], specials[1]]
            assert row["tokens"][-1] == specials[1]
            assert len(row["tokens"]) == head + size + 1
            seen += row["tokens"][row["first"] : row["last"]]
        assert seen == context  # every token of the context has its widest context in exactly one window


def test_cut_question_tokens_are_counted_once(family: SpanQA, tokenizer: PreTrainedTokenizerBase) -> None:
    long = Question(key="k", id="k", question="Peru " * 100, context="Kenya " * 500)
    tokens = len(tokenizer(long.question, add_special_tokens=False)["input_ids"])
    rows = list(family.encode([long], tokenizer, 384))
    assert len(rows) > 2
    assert [row["cut"] for row in rows] == [tokens - 64, *[0] * (len(rows) - 1)]
    assert all(row["context"] == 64 + 3 for row in rows)
    with pytest.raises(UserError, match=r"data\.max_length=5: a question and its context need at least 6 tokens"):
        list(family.encode([long], tokenizer, 5))


def test_empty_context_gives_one_row(family: SpanQA, tokenizer: PreTrainedTokenizerBase) -> None:
    (row,) = family.encode([Question(key="k", id="k", question="Peru", context="")], tokenizer, 384)
    assert (len(row["begins"]), row["first"], row["last"]) == (0, row["context"], row["context"])


# --- targets and loss ----------------------------------------------------------------------------------------------------
def test_a_window_without_the_answer_points_at_its_first_token(
    family: SpanQA, tokenizer: PreTrainedTokenizerBase, examples: list[Question]
) -> None:
    rows = list(family.encode(examples, tokenizer, ROOM))
    for number, example in enumerate(examples):
        own = [row for row in rows if row["example"] == number]
        with_answer = [row for row in own if row["start"] > 0]
        assert with_answer
        assert all((row["start"], row["end"]) == (0, 0) for row in own if row["start"] <= 0)
        for row in with_answer:
            begin = row["begins"][row["start"] - row["context"]]
            end = row["ends"][row["end"] - row["context"]]
            assert example.answers
            assert example.context[begin:end] == example.answers[0].text


def test_answer_inside_a_token_takes_the_whole_token(family: SpanQA, tokenizer: PreTrainedTokenizerBase) -> None:
    question = Question(key="k", id="k", question="?", context="Peru Kenya", answers=(Answer(start=6, text="eny"),))
    (row,) = family.encode([question], tokenizer, 384)
    begin, end = row["begins"][row["start"] - row["context"]], row["ends"][row["end"] - row["context"]]
    assert "eny" in question.context[begin:end]


def test_loss_is_the_mean_of_start_and_end_per_window(
    family: SpanQA, tokenizer: PreTrainedTokenizerBase, encoder: Path, examples: list[Question]
) -> None:
    rows = list(family.encode(examples[:3], tokenizer, ROOM))
    model = Model(load_encoder(ModelSection(backbone=str(encoder)), tokenizer, torch.float32), {"squad": family}, 1).eval()
    batch = collate(rows, range(len(rows)), family)
    outputs = model(View(batch))[0].detach()
    assert outputs.shape == (len(batch.tokens), 2)
    expected = 0.0
    for part, row in zip(outputs.split(batch.lengths.tolist()), rows, strict=True):
        for side, gold in enumerate((row["start"], row["end"])):
            expected += torch.nn.functional.cross_entropy(part[:, side], torch.tensor(gold)).item() / 2
    assert family.loss(outputs, batch).item() == pytest.approx(expected, rel=1e-5)
    assert family.count(batch) == len(rows)


# --- prediction ----------------------------------------------------------------------------------------------------------
@given(st.integers(1, 60), st.data())
@settings(max_examples=50, deadline=None)
def test_best_spans_against_all_pairs(context: int, data: st.DataObject) -> None:
    head = data.draw(st.integers(1, 8))
    first = data.draw(st.integers(0, context))
    last = data.draw(st.integers(first, context))
    tokens = head + context + 1
    scores = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(tokens, 2)).astype(np.float32)
    characters = np.stack([np.arange(context) * 3, np.arange(context) * 3 + 2], axis=1)
    window = np.array([head, head + first, head + last, context])
    found = best_spans(scores, window, characters)
    starts = sorted(range(tokens), key=lambda place: -scores[place, 0])[:BEST]
    ends = sorted(range(tokens), key=lambda place: -scores[place, 1])[:BEST]
    legal = [
        (float(scores[start, 0] + scores[end, 1]), 3 * (start - head), 3 * (end - head) + 2)
        for start in starts
        for end in ends
        if head + first <= start < head + last and head <= end < head + context and start <= end < start + ANSWER
    ]
    legal.sort(key=lambda span: -span[0])
    assert [tuple(span) for span in found] == [pytest.approx(span) for span in legal[:BEST]]


def oracle(rows: list[Row]) -> list[torch.Tensor]:
    """Scores of a model that knows every answer and is sure of it where it sees it."""
    found = []
    for row in rows:
        scores = torch.zeros(len(row["tokens"]), 2)
        if row["start"] > 0:
            scores[row["start"], 0] = scores[row["end"], 1] = 10.0
        found.append(scores)
    return found


def answered(family: SpanQA, rows: list[Row], examples: list[Question]) -> dict[str, str]:
    """The oracle's answers, through batches of 16 windows."""
    predictions = []
    for first in range(0, len(rows), 16):
        part = rows[first : first + 16]
        predictions += family.predict(torch.cat(oracle(part)), collate(part, range(len(part)), family))
    return family.finish(predictions, Table(rows), examples)


def test_the_best_span_over_windows_wins(family: SpanQA, tokenizer: PreTrainedTokenizerBase, examples: list[Question]) -> None:
    rows = list(family.encode(examples, tokenizer, ROOM))
    answers = answered(family, rows, examples)
    assert answers == {example.id: example.answers[0].text for example in examples if example.answers}
    assert family.score(answers, examples, "en") == {"exact_match": 100.0, "f1": 100.0}


def test_no_legal_span_is_an_empty_answer(family: SpanQA) -> None:
    example = Question(key="k", id="k", question="?", context="Peru")
    assert family.finish([np.zeros((0, 3))], Table([{"example": 0}]), [example]) == {"k": ""}
    assert family.score({"k": ""}, [example], "en") == {}


def test_mlqa_has_its_own_normaliser() -> None:
    example = Question(key="k", id="k", question="?", context="Die Stadt", answers=(Answer(start=4, text="Stadt"),))
    prediction = {"k": "die Stadt"}
    assert SpanQA(task("mlqa")).score(prediction, [example], "de")["exact_match"] == 100.0
    assert SpanQA(task("xquad")).score(prediction, [example], "de")["exact_match"] == 0.0


# --- real data -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def real_tokenizer(demo_encoder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(demo_encoder)


@pytest.mark.parametrize("code", ["en", "ar", "th", "zh"])
def test_every_xquad_answer_can_be_found(shared_data: Path, real_tokenizer: PreTrainedTokenizerBase, code: str) -> None:
    family = SpanQA(task("xquad"))
    examples = list(task("xquad").examples(shared_data, "test", code))
    rows = list(family.encode(examples, real_tokenizer, 384))
    too_long, seen = set(), set()
    for row in rows:
        if row["start"] > 0:
            example = examples[row["example"]]
            begin, end = row["begins"][row["start"] - row["context"]], row["ends"][row["end"] - row["context"]]
            assert example.answers[0].text in example.context[begin:end]
            seen.add(example.id)
            if row["end"] - row["start"] >= ANSWER:
                too_long.add(example.id)
    assert len(seen) == len(examples)
    found = answered(family, rows, examples)
    missed = {example.id for example in examples if example.answers[0].text not in found[example.id]}
    assert missed <= too_long
    assert len(too_long) <= 7
    # The rest of the loss: answers that begin or end inside a sub-word.
    assert family.score(found, examples, code)["exact_match"] > 98.5
