"""The encoder with its heads against transformers' own forward, and heads that know nothing of each other."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from batch_of import batch_of
from safetensors.torch import load_file, save_file
from tiny import tiny_benchmark, tiny_model
from torch import Tensor
from transformers import AutoModel

from xdist.config import Model as ModelSection
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.files import read_json, write_json
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads, save_model
from xdist.model.model import Model
from xdist.tasks.batch import View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

KINDS = ("xlm-roberta", "bert")
TASKS = ("cldr-topic", "cldr-spans", "xnli")
# Sequences of one token, of equal and of different length, and two in one row.
ROWS = [[[0, 30, 31, 2]], [[0, 40, 41, 42, 43, 44, 2], [0]], [[0, 50, 51, 2]]]


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("model")
    tiny_benchmark(folder / "benchmark")
    return {kind: str(tiny_model(folder / kind, folder / "benchmark", kind=kind)) for kind in KINDS}


@pytest.fixture
def make(backbones: dict[str, str]) -> Callable[..., Model]:
    def model(*tasks: str, seed: int = 1, kind: str = "xlm-roberta", **section: object) -> Model:
        backbone = backbones[kind]
        described = ModelSection.model_validate({"backbone": backbone, **section})
        encoder = load_encoder(described, load_tokenizer(backbone), torch.float32)
        return Model(encoder, {name: family_of(task(name)) for name in tasks}, seed)

    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [None, 1, 0])
def test_hidden_states_are_those_of_transformers(
    make: Callable[..., Model], backbones: dict[str, str], kind: str, layer: int | None
) -> None:
    batch = batch_of(ROWS)
    whole = AutoModel.from_pretrained(backbones[kind]).eval()
    with torch.no_grad():
        found = make(kind=kind).eval().hidden(batch, layer)
        ids, mask = batch.padded(whole.config.pad_token_id)
        states = whole(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        padded = states[-1 if layer is None else layer][mask.bool()]
        sequences = batch.tokens.split(batch.lengths.tolist())
        alone = [whole(input_ids=one[None], output_hidden_states=True).hidden_states for one in sequences]
    torch.testing.assert_close(found, padded, atol=1e-6, rtol=0)
    unpadded = torch.cat([states[-1 if layer is None else layer][0] for states in alone])
    torch.testing.assert_close(found, unpadded, atol=2e-6, rtol=0)


def head_state(model: Model, name: str) -> dict[str, Tensor]:
    return model.heads[name].state_dict()


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_head_starts_the_same_whichever_others_there_are(make: Callable[..., Model]) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    alone, together = make("xnli"), make(*TASKS)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(head_state(alone, "xnli"), head_state(together, "xnli"))
    assert not same(head_state(alone, "xnli"), head_state(make("xnli", seed=2), "xnli"))
    assert not torch.equal(together.heads["xnli"][1].weight, together.heads["cldr-topic"][1].weight)  # type: ignore[index]


def test_idle_heads_change_nothing_and_have_gradients(make: Callable[..., Model]) -> None:
    batch = batch_of(ROWS[::2], head="xnli")
    outputs = {}
    for tasks in (("xnli",), TASKS):
        model = make(*tasks).train()
        torch.manual_seed(3)
        (outputs[tasks],) = model(View(batch))
    assert torch.equal(*outputs.values())
    outputs[TASKS].sum().backward()
    for name in ("cldr-topic", "cldr-spans"):
        assert all(value.grad is not None and not value.grad.any() for value in model.heads[name].parameters())
    assert all(value.grad is not None and value.grad.any() for value in model.heads["xnli"].parameters())


def test_frozen_embeddings_get_no_gradient(make: Callable[..., Model]) -> None:
    batch = batch_of(ROWS[::2], head="xnli")
    for frozen in (True, False):
        model = make("xnli", freeze_embeddings=frozen).train()
        model(View(batch))[0].sum().backward()
        weight = model.embedding.weight
        assert (weight.grad is None) == frozen
        others = [value.requires_grad for value in model.parameters() if value is not weight]
        assert all(others)


@pytest.mark.parametrize("share", [0.0, 0.4, None])
def test_dropout_is_the_run_s_or_the_encoder_s(make: Callable[..., Model], share: float | None) -> None:
    found = {module.p for module in make("xnli", dropout=share).modules() if isinstance(module, torch.nn.Dropout)}
    assert found == {0.1 if share is None else share}


@pytest.fixture
def saved(make: Callable[..., Model], backbones: dict[str, str], tmp_path: Path) -> Path:
    """The folder of a model with heads for xnli and cldr-topic that are not as they start."""
    model = make("xnli", "cldr-topic", seed=99)
    save_model(tmp_path / "model", model, model.state_dict(), load_tokenizer(backbones["xlm-roberta"]))
    return tmp_path / "model"


def test_heads_are_carried_over_or_left_behind(make: Callable[..., Model], saved: Path) -> None:
    model, fresh = make("xnli", "cldr-spans"), make("xnli", "cldr-spans")
    assert carry_heads(str(saved), model) == (["xnli"], ["cldr-topic"])
    assert same(head_state(model, "xnli"), head_state(make("xnli", seed=99), "xnli"))
    assert same(head_state(model, "cldr-spans"), head_state(fresh, "cldr-spans"))


@pytest.mark.parametrize("key, value", [("labels", ["entailment", "neutral", "contradiction"]), ("family", "tagging")])
def test_a_head_of_other_labels_or_family_is_left_behind(
    make: Callable[..., Model], saved: Path, key: str, value: object
) -> None:
    index = read_json(saved / "heads.json")
    assert index["xnli"][key] != value
    index["xnli"][key] = value
    write_json(saved / "heads.json", index)
    model = make("xnli")
    assert carry_heads(str(saved), model) == ([], ["xnli", "cldr-topic"])
    assert same(head_state(model, "xnli"), head_state(make("xnli"), "xnli"))


def test_a_head_of_another_width_is_an_error(make: Callable[..., Model], saved: Path) -> None:
    weights = load_file(saved / "heads.safetensors")
    save_file({name: value[..., :8].contiguous() for name, value in weights.items()}, saved / "heads.safetensors")
    with pytest.raises(UserError, match=r"heads\.safetensors: head 'xnli' does not fit: size mismatch"):
        carry_heads(str(saved), make("xnli"))


def test_a_backbone_without_heads(make: Callable[..., Model], backbones: dict[str, str]) -> None:
    assert carry_heads(backbones["bert"], make("xnli")) == ([], [])
