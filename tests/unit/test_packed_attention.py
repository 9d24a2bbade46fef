"""Attention without padding against the padded model: outputs and gradients, for every family, and what the layers see."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from batch_of import batch_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaXLConfig,
    XLMRobertaXLModel,
)

from xdist.config.robust import Place
from xdist.model import packed
from xdist.model.masks import Masks
from xdist.model.model import Model
from xdist.tasks.batch import PLACES, Batch, View
from xdist.tasks.catalog import task
from xdist.tasks.family import Family, family_of
from xdist.tasks.packing import CALL, PLACE, Packing, cut
from xdist.tasks.retrieval import Retrieval

# One token, equal and different lengths, two sequences in each row; the padding id within a sequence, which counts no position.
ROWS = [[[0, 30, 31, 2], [0]], [[0, 40, 41, 42, 43, 44, 45, 46, 2], [0, 33, 2]], [[0, 50, 51, 2], [0, 7, 1, 8, 9, 2]]]
PLACES_OF_WORDS = torch.tensor([1, 2, 5, 8, 21])
# One task of each family, with the targets of those rows. Sentence vectors come from a layer below the last.
TARGETS: dict[str, dict[str, Tensor]] = {
    "xnli": {"label": torch.tensor([2, 0, 1, 1, 0, 2])},
    "udpos": {"words": PLACES_OF_WORDS, "labels": torch.tensor([3, 0, 11, 5, 2])},
    "xquad": {"gold": torch.tensor([[1, 3], [6, 9], [18, 20]])},
    "xcopa": {"options": torch.tensor([2, 2, 2]), "gold": torch.tensor([0, 3, 4])},
    "tatoeba": {},
    "bucc2018": {},
    "mewslix": {"group": torch.tensor([0, 0, 0])},
    "mlm": {"masked": PLACES_OF_WORDS, "label": torch.tensor([9, 33, 59, 4, 7])},
}
SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def encoder(kind: str) -> PreTrainedModel:
    torch.manual_seed(7)
    roberta: dict[str, Any] = {**SHAPE, "max_position_embeddings": 20, "type_vocab_size": 1, "pad_token_id": 1}
    if kind == "bert":  # learned for ten positions: a row of all tokens is longer
        return BertModel(BertConfig(**SHAPE, max_position_embeddings=10, pad_token_id=1), add_pooling_layer=False)
    if kind == "xlm-roberta-xl":
        return XLMRobertaXLModel(XLMRobertaXLConfig(**roberta), add_pooling_layer=False)
    return XLMRobertaModel(XLMRobertaConfig(**roberta), add_pooling_layer=False)


@pytest.fixture(scope="module", params=["xlm-roberta", "bert", "xlm-roberta-xl"])
def pair(request: pytest.FixtureRequest) -> tuple[Model, Model]:
    """The same model packed and padded, without dropout."""
    families = {name: family_of(task(name)) for name in TARGETS}
    packed_model, padded_model = (Model(encoder(request.param), families, 1, pack).eval() for pack in (True, False))
    assert (packed_model.packed, padded_model.packed) == (True, False)
    padded_model.load_state_dict(packed_model.state_dict())
    return packed_model, padded_model


def objective(family: Family, outputs: Tensor, batch: Batch) -> Tensor:
    """The family's loss; of those without targets, which are not trained, a weighted sum of their vectors."""
    if batch.targets:
        return family.loss(outputs, batch)
    assert isinstance(family, Retrieval)
    vectors = family.vectors(outputs, batch)
    return (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum()


def results(model: Model, name: str, places: Sequence[Place] = ()) -> list[Tensor]:
    """The loss, and its gradient by the shifts at `places` and by every parameter."""
    batch = batch_of(ROWS, head=name)
    batch.targets = TARGETS[name]
    generator = torch.Generator().manual_seed(3)
    deltas = [torch.randn(len(batch.tokens), model.width, generator=generator).requires_grad_() for _ in places]
    view = View(batch)
    for place, delta in zip(places, deltas, strict=True):
        view = view.shifted(place, delta)
    (outputs,) = model(view)
    loss = objective(model.families[name], outputs, batch)
    gradients = torch.autograd.grad(loss, [*deltas, *model.parameters()], allow_unused=True)
    assert all(gradient is not None for gradient in gradients[: len(deltas)])
    return [outputs.detach(), loss.detach(), *(gradient for gradient in gradients if gradient is not None)]


def assert_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    assert len(found) == len(expected)
    assert max(float(one.abs().max()) for one in expected) > 0.1
    for one, other in zip(found, expected, strict=True):
        largest = float(other.abs().max())  # small entries of a large gradient are differences of large numbers
        torch.testing.assert_close(one, other, atol=1e-5 * max(1.0, largest), rtol=1e-5)


@pytest.mark.parametrize("name", TARGETS)
def test_every_family_has_the_padded_outputs_and_gradients(pair: tuple[Model, Model], name: str) -> None:
    found, expected = (results(model, name) for model in pair)
    assert_equal(found, expected)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_shifts_and_checkpointing(pair: tuple[Model, Model], checkpointing: bool) -> None:
    found = []
    for model in pair:
        if checkpointing:
            model.train()
            model.encoder.gradient_checkpointing_enable({"use_reentrant": False})
        found.append(results(model, "udpos", PLACES))
        model.encoder.gradient_checkpointing_disable()
        model.eval()
    assert_equal(*found)


def test_layers_see_the_tokens_alone(pair: tuple[Model, Model]) -> None:
    shapes = []
    model = pair[0]
    hook = model.encoder.encoder.layer[0].register_forward_hook(lambda _m, _i, output: shapes.append(output.shape))
    batch = batch_of(ROWS)
    model.hidden(batch)
    hook.remove()
    assert shapes == [(1, len(batch.tokens), SHAPE["hidden_size"])]


def test_dropout_inside_attention_is_drawn_from_the_generator(pair: tuple[Model, Model]) -> None:
    model, batch = pair[0], batch_of(ROWS)
    attention = [layer.attention.self for layer in model.encoder.encoder.layer]
    for part in attention:
        part.dropout.p = 0.5
        part.train()
    masks = Masks()
    first = model.hidden(batch)
    other = model.hidden(batch)
    masks.rewind()
    again = model.hidden(batch)
    for part in attention:
        part.dropout.p = 0.0
        part.eval()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, model.hidden(batch))


def test_the_kernel_that_knows_bounds_takes_the_rows() -> None:
    """Shapes alone: it runs on CUDA only."""
    packing = Packing([3, 1, 5], torch.device("meta"))
    rows = tuple(torch.empty(9, 4, 8, device="meta", dtype=torch.bfloat16) for _ in range(3))
    assert packed._by_bounds(rows, packing, 0.0, 0.5).shape == (9, 4, 8)
    assert packing.bounds.dtype == torch.int32


def test_an_encoder_of_another_make_is_padded() -> None:
    assert packed.packs(XLMRobertaConfig())
    assert not packed.packs(ModernBertConfig())
    assert not packed.packs(BertConfig(is_decoder=True))


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40))
@settings(deadline=None)
def test_buckets_hold_every_token_once(lengths: list[int]) -> None:
    packing = Packing(lengths, torch.device("cpu"))
    total = sum(lengths)
    assert torch.equal(packing.source[packing.place], torch.arange(total))
    assert sorted([*packing.place.tolist(), *packing.empty.tolist()]) == list(range(packing.places))
    assert sum(bucket.sequences for bucket in packing.buckets) == len(lengths)
    assert sum(bucket.sequences * bucket.length for bucket in packing.buckets) == packing.places
    masks = [
        torch.ones(b.sequences, b.length, dtype=torch.bool) if b.mask is None else b.mask[:, 0, 0] for b in packing.buckets
    ]
    assert sum(int(mask.sum()) for mask in masks) == total
    assert [int(row.sum()) for mask in masks for row in mask] == sorted(lengths, reverse=True)
    assert packing.bounds.tolist() == [0, *torch.tensor(lengths).cumsum(0).tolist()]


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40), st.sampled_from(sorted(CALL.values())))
@settings(deadline=None)
def test_buckets_cost_no_more_than_one_for_all_or_one_for_each(lengths: list[int], call: int) -> None:
    def cost(buckets: Sequence[tuple[int, int]]) -> int:
        return sum(call + count * (length * length + PLACE * length) for count, length in buckets)

    assert cost(cut(lengths, call)) <= min(cost([(len(lengths), max(lengths))]), cost([(1, length) for length in lengths]))
