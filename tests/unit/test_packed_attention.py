"""Attention without padding against the padded model: outputs and gradients, for every family, and what the layers see."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from batch_of import batch_of
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_kernels import HALF, Kernels
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    EuroBertConfig,
    EuroBertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaXLConfig,
    XLMRobertaXLModel,
)

from xdist.config.robust import Place
from xdist.model import packed
from xdist.model.kinds import kind_of
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


# A third layer, so that of ModernBERT's the second and third are local; two heads share a key in EuroBERT.
ROTARY = {**SHAPE, "num_hidden_layers": 3, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 1}
KINDS = ["xlm-roberta", "bert", "xlm-roberta-xl", "modernbert", "eurobert"]


def encoder(kind: str) -> PreTrainedModel:
    torch.manual_seed(7)
    if kind == "modernbert":  # a window of two places on each side
        return ModernBertModel(ModernBertConfig(**ROTARY, local_attention=4, cls_token_id=0, sep_token_id=2))
    if kind == "eurobert":
        return EuroBertModel(EuroBertConfig(**ROTARY, num_key_value_heads=2, mask_token_id=4))
    roberta: dict[str, Any] = {**SHAPE, "max_position_embeddings": 20, "type_vocab_size": 1, "pad_token_id": 1}
    if kind == "bert":  # learned for ten positions: a row of all tokens is longer
        return BertModel(BertConfig(**SHAPE, max_position_embeddings=10, pad_token_id=1), add_pooling_layer=False)
    if kind == "xlm-roberta-xl":
        return XLMRobertaXLModel(XLMRobertaXLConfig(**roberta), add_pooling_layer=False)
    return XLMRobertaModel(XLMRobertaConfig(**roberta), add_pooling_layer=False)


@pytest.fixture(scope="module", params=KINDS)
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


def layers_of(model: Model) -> Any:
    kind = kind_of(model.encoder.config)
    return getattr(model.encoder.get_submodule(kind.stack or ""), kind.layers)


def test_layers_see_the_tokens_alone(pair: tuple[Model, Model]) -> None:
    shapes = []
    model = pair[0]
    hook = layers_of(model)[0].register_forward_hook(lambda _m, _i, output: shapes.append(output.shape))
    batch = batch_of(ROWS)
    model.hidden(batch)
    hook.remove()
    assert shapes == [(1, len(batch.tokens), SHAPE["hidden_size"])]


def set_dropout(attention: Any, share: float) -> None:
    if hasattr(attention, "dropout"):
        attention.dropout.p = share
    attention.attention_dropout = share  # of kinds with rotary positions


def test_dropout_inside_attention_is_drawn_from_the_generator(pair: tuple[Model, Model]) -> None:
    model, batch = pair[0], batch_of(ROWS)
    attention: Any = [part for layer in layers_of(model) for part in layer.modules() if hasattr(part, "is_causal")]
    for part in attention:
        set_dropout(part, 0.5)
        part.train()
    masks = Masks()
    first = model.hidden(batch)
    other = model.hidden(batch)
    masks.rewind()
    again = model.hidden(batch)
    for part in attention:
        set_dropout(part, 0.0)
        part.eval()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, model.hidden(batch))


WAYS = [packed.FLASH, packed.VARLEN]


@pytest.fixture
def by_bounds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kernels]:
    """Forces packed attention through one of the two kernels of a GPU, computed here."""

    def force(way: str, *dtypes: torch.dtype) -> Kernels:
        kernels = Kernels(dtypes or HALF)
        monkeypatch.setattr(packed, "choose_kernel", lambda *_: way)
        monkeypatch.setattr(packed, "varlen_attn", kernels.varlen_attn)
        monkeypatch.setattr(packed, "flash_attn_varlen_func", kernels.flash_attn_varlen_func if way == packed.FLASH else None)
        return kernels

    return force


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_by_bounds_outputs_and_gradients_are_the_padded_ones(
    pair: tuple[Model, Model], by_bounds: Callable[..., Kernels], way: str, checkpointing: bool
) -> None:
    """Those by the shifts too, which an ascent climbs by."""
    kernels, found = by_bounds(way, torch.float32), []
    for model in pair:
        if checkpointing:
            model.train()
            model.encoder.gradient_checkpointing_enable({"use_reentrant": False})
        found.append(results(model, "udpos", PLACES))
        model.encoder.gradient_checkpointing_disable()
        model.eval()
    assert_equal(*found)
    layers = pair[0].encoder.config.num_hidden_layers
    assert kernels.calls == layers * (2 if checkpointing else 1)
    windows = {(2, 2), (-1, -1)} if pair[0].encoder.config.model_type == "modernbert" else {(-1, -1)}
    assert kernels.windows == windows


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_the_kernels_get_what_they_demand(by_bounds: Callable[..., Kernels], way: str, kind: str) -> None:
    families = {"udpos": family_of(task("udpos"))}
    half = Model(encoder(kind).to(torch.bfloat16), families, 1).eval()
    whole = Model(encoder(kind), families, 1).eval()
    expected = results(whole, "udpos")[0]
    kernels = by_bounds(way)
    found = results(half, "udpos")[0].float()
    assert kernels.calls
    assert float((found - expected).abs().max()) < 0.1 * float(expected.abs().max())


@pytest.mark.parametrize("asked", [False, True])
def test_flash_attention_is_told_of_the_switch_for_equal_bits(by_bounds: Callable[..., Kernels], asked: bool) -> None:
    """The emulated kernel compares its arguments with the switch."""
    kernels = by_bounds(packed.FLASH, torch.float32)
    try:
        torch.use_deterministic_algorithms(asked)
        results(Model(encoder(KINDS[0]), {"udpos": family_of(task("udpos"))}, 1).eval(), "udpos")
    finally:
        torch.use_deterministic_algorithms(False)
    assert kernels.calls


@pytest.mark.parametrize("window, grouped", [(None, False), (3, False), (None, True), (3, True)])
def test_the_kernel_of_pytorch_takes_the_rows(window: int | None, grouped: bool) -> None:
    """Shapes alone: it runs on CUDA only."""
    packing = Packing([3, 1, 5], torch.device("meta"))
    heads = (4, 2, 2) if grouped else (4, 4, 4)
    rows = tuple(torch.empty(9, count, 8, device="meta", dtype=torch.bfloat16) for count in heads)
    assert packed.attend_by_bounds(rows, packing, 0.0, 0.5, window).shape == (9, 4, 8)
    assert packing.bounds.dtype == torch.int32


def test_which_kernel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    half, kernel = torch.bfloat16, packed.choose_kernel
    monkeypatch.setattr(packed, "flash_attn_varlen_func", None)
    assert [kernel("cuda", half, 64, 0.0), kernel("cuda", half, 64, 0.1)] == [packed.VARLEN, packed.BUCKETS]
    assert {kernel("cpu", half, 64, 0.0), kernel("cuda", torch.float32, 64, 0.0), kernel("cuda", half, 12, 0.0)} == {
        packed.BUCKETS
    }
    monkeypatch.setattr(packed, "flash_attn_varlen_func", lambda: None)
    assert {kernel("cuda", half, 64, share) for share in (0.0, 0.1)} == {packed.FLASH}


def test_an_encoder_of_another_make_is_padded() -> None:
    assert packed.can_pack(XLMRobertaConfig())
    assert packed.can_pack(ModernBertConfig())
    assert not packed.can_pack(DebertaV2Config())
    assert not packed.can_pack(BertConfig(is_decoder=True))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_a_window_in_buckets_is_that_of_each_sequence(lengths: list[int], window: int) -> None:
    """Where a place without a token has no token near, gradients are numbers still."""
    packing, draw = Packing(lengths, torch.device("cpu")), torch.Generator().manual_seed(1)
    rows = [torch.randn(sum(lengths), heads, 8, generator=draw).requires_grad_() for heads in (4, 2, 2)]
    found = packed.attend_by_buckets(tuple(rows), packing, 0.0, None, window)  # type: ignore[arg-type]
    reach, bounds = (window - 1, window - 1), packing.bounds
    kernels = Kernels((torch.float32,))
    expected = kernels.varlen_attn(*rows, bounds, bounds, max(lengths), max(lengths), window_size=reach, enable_gqa=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(states.sin().sum(), rows) for states in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


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
