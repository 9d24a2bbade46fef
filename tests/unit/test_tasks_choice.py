"""Multiple choice: rows of several sequences, one logit each, softmax over the options of an example."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_benchmark, tiny_model
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xdist.config import Model as ModelSection
from xdist.data.batches import collate
from xdist.data.shards import Rows
from xdist.formats.examples import Choice
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads, save_model
from xdist.model.model import Model
from xdist.tasks.batch import View
from xdist.tasks.catalog import task
from xdist.tasks.choice import MultipleChoice
from xdist.tasks.segments import log_softmax

THREE = Choice(prompt="Germany France What next?", options=("Kenya", "Peru Mali", "Chad"), label=2)
TWO = Choice(prompt="Oman Norway What was the cause?", options=("euro", "yen won rupee"), label=0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choice")
    return tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark"))


@pytest.fixture(scope="module")
def tokenizer(encoder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(encoder)


@pytest.fixture(scope="module")
def family() -> MultipleChoice:
    return MultipleChoice(task("copa"))


def model_of(encoder: Path, tokenizer: PreTrainedTokenizerBase, name: str, seed: int) -> Model:
    made = MultipleChoice(task(name))
    return Model(
        load_encoder(ModelSection(backbone=str(encoder)), tokenizer, torch.float32), {made.task.head: made}, seed
    ).eval()


def test_a_row_holds_one_sequence_per_option(family: MultipleChoice, tokenizer: PreTrainedTokenizerBase) -> None:
    first, second = family.encode([THREE, TWO], tokenizer, 128)
    for row, example in ((first, THREE), (second, TWO)):
        sequences = [tokenizer(example.prompt, option)["input_ids"] for option in example.options]
        assert row["tokens"] == [token for sequence in sequences for token in sequence]
        assert row["lengths"] == list(map(len, sequences))
        assert (row["label"], row["cut"]) == (example.label, 0)
    assert [row["example"] for row in (first, second)] == [0, 1]


def test_what_does_not_fit_is_counted(family: MultipleChoice, tokenizer: PreTrainedTokenizerBase) -> None:
    (whole,) = family.encode([TWO], tokenizer, 128)
    (cut,) = family.encode([TWO], tokenizer, 10)
    assert max(cut["lengths"]) == 10
    assert cut["cut"] == sum(whole["lengths"]) - sum(cut["lengths"]) > 0


def test_two_and_three_options_in_one_batch(family: MultipleChoice, tokenizer: PreTrainedTokenizerBase, encoder: Path) -> None:
    rows = list(family.encode([THREE, TWO, THREE], tokenizer, 128))
    model = model_of(encoder, tokenizer, "copa", seed=1)
    batch = collate(rows, range(3), family)
    outputs = model(View(batch))[0].detach()
    assert outputs.shape == (8, 1)
    parts = outputs[:, 0].split([3, 2, 3])
    expected = sum(
        torch.nn.functional.cross_entropy(part, torch.tensor(gold)) for part, gold in zip(parts, (2, 0, 2), strict=True)
    )
    assert family.loss(outputs, batch).item() == pytest.approx(float(expected), rel=1e-5)
    assert family.count(batch) == 3
    found = family.predict(outputs, batch)
    assert [int(option) for option in found] == [int(part.argmax()) for part in parts]
    (alone,) = model(View(collate(rows[1:2], [1], family)))
    assert torch.allclose(alone, outputs[3:5], atol=1e-5)
    predictions = family.finish(found, _rows(rows), [THREE, TWO, THREE])
    assert family.score(predictions, [THREE, TWO, THREE], "en") == {
        "accuracy": pytest.approx(
            100 * np.mean([int(part.argmax()) == gold for part, gold in zip(parts, (2, 0, 2), strict=True)])
        )
    }


def test_gradient_is_that_of_cross_entropy() -> None:
    values = torch.randn(5, requires_grad=True)
    (-log_softmax(values, torch.tensor([0, 0, 0, 1, 1]), 2)[[1, 4]].sum()).backward()
    again = values.detach().clone().requires_grad_()
    parts = again.split([3, 2])
    sum(torch.nn.functional.cross_entropy(part, torch.tensor(1)) for part in parts).backward()  # type: ignore[union-attr]
    assert torch.allclose(values.grad, again.grad, atol=1e-6)  # type: ignore[arg-type]


@given(st.lists(st.lists(st.floats(-50, 50), min_size=1, max_size=6), min_size=1, max_size=6), st.randoms())
def test_log_softmax_of_segments_in_any_order(segments: list[list[float]], random: object) -> None:
    pairs = [(value, number) for number, values in enumerate(segments) for value in values]
    random.shuffle(pairs)  # type: ignore[attr-defined]
    values = torch.tensor([value for value, _ in pairs], dtype=torch.float64)
    owner = torch.tensor([number for _, number in pairs])
    found = log_softmax(values[:, None].repeat(1, 2), owner, len(segments))
    for number in range(len(segments)):
        assert torch.allclose(found[owner == number, 1], values[owner == number].log_softmax(0), atol=1e-9)


def test_the_head_is_carried_from_three_options_to_two(
    encoder: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    siqa = model_of(encoder, tokenizer, "siqa", seed=1)
    save_model(tmp_path / "siqa", siqa, dict(siqa.state_dict()), tokenizer)
    for name in ("copa", "xcopa"):
        other = model_of(encoder, tokenizer, name, seed=2)
        assert carry_heads(str(tmp_path / "siqa"), other) == (["choice"], [])
        for key, value in siqa.heads["choice"].state_dict().items():
            assert torch.equal(other.heads["choice"].state_dict()[key], value)


def test_without_gold_there_is_no_score(family: MultipleChoice, tokenizer: PreTrainedTokenizerBase) -> None:
    blanked = Choice(prompt=TWO.prompt, options=TWO.options)
    (row,) = family.encode([blanked], tokenizer, 128)
    assert row["label"] == -1
    assert family.score([0], [blanked], "et") == {}


def test_real_xcopa_and_siqa_have_rows(family: MultipleChoice, tokenizer: PreTrainedTokenizerBase, shared_data: Path) -> None:
    for name, code, options in (("xcopa", "qu", 2), ("siqa", "en", 3)):
        examples = list(task(name).examples(shared_data, "dev", code))[:100]
        rows = list(family.encode(examples, tokenizer, 512))
        assert all(len(row["lengths"]) == options and sum(row["lengths"]) == len(row["tokens"]) for row in rows)
        assert [row["label"] for row in rows] == [example.label for example in examples]


def _rows(rows: list[dict]) -> Rows:
    class Table:
        def column(self, name: str) -> np.ndarray:
            return np.array([row[name] for row in rows])

    return Table()  # type: ignore[return-value]
