"""What xdist says of each kind of encoder (xdist/model/kinds.py) against transformers' own classes: the admission test's second
part; tests/unit/test_admission_states.py compares hidden states, and docs/encoders.md is the table of what both have shown."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from batch_of import batch_of
from packaging.version import Version
from safetensors.torch import save_file
from tiny_kinds import KINDS, tiny_kind
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from xdist.config import Model as ModelSection
from xdist.config.method import METHODS
from xdist.config.robust import Place
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.export.hugging_face import prepare_export
from xdist.model import remarks
from xdist.model.encoder import load_encoder
from xdist.model.finetuned import CLASSES
from xdist.model.kinds import KINDS as DESCRIBED
from xdist.model.kinds import REFUSED, check_kind, kind_of
from xdist.model.language_head import load_language_heads
from xdist.model.model import Model
from xdist.model.sites import shift_last_states, shifted_module
from xdist.resolve.encoder import check_recomputing, check_subsets, read_encoder
from xdist.tasks.batch import Batch, Shift, View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

ROOT = Path(__file__).resolve().parents[2]
ROWS = [[[2, 8, 9, 11, 12, 15, 3]], [[2, 9, 3]], [[2, 8, 7, 3], [2, 5, 5, 5, 9, 3]]]
SHARE = 0.4


def model_of(folder: str, *tasks: str, pack: bool = True, **section: Any) -> Model:
    described = ModelSection.model_validate({"backbone": folder, **section})
    encoder = load_encoder(described, load_tokenizer(folder), torch.float32)
    return Model(encoder, {task(name).head: family_of(task(name)) for name in tasks}, 1, pack).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_facts_of_a_configuration_file_are_those_of_the_model(folders: Callable[[str], str], kind: str) -> None:
    """Which is built without weights."""
    found, config = read_encoder(folders(kind)), AutoConfig.from_pretrained(folders(kind))
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    assert found is not None
    assert (found.kind, found.rows) == (config.model_type, len(model.get_input_embeddings().weight))
    described = found.described
    names = [name for name, _ in model.named_modules()]
    assert described.embedded in names
    assert not described.stack or described.stack in names
    assert model.supports_gradient_checkpointing == described.checkpointing
    stack = model.get_submodule(described.stack or "")
    if described.layers:
        assert len(getattr(stack, described.layers)) == found.layers == config.num_hidden_layers
    if described.counter:
        assert getattr(stack, described.counter) == found.layers
    tables = [part for name, part in model.named_modules() if name.endswith("position_embeddings")]
    places = {"learned": 0, "after padding": config.pad_token_id + 1}.get(described.positions)
    if places is None:
        assert not tables or described.positions == "relative"
    else:
        assert [table.num_embeddings - places for table in tables] == [found.positions]
    assert found.languages is None


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_each_site_is_where_it_says(folders: Callable[[str], str], kind: str, pack: bool) -> None:
    """input: as if transformers had been given other input embeddings; embedding: at the embedding layer's output, which is
    hidden state 0 where it is as wide as the others; last: at the last hidden states."""
    model, batch = model_of(folders(kind), pack=pack), batch_of(ROWS)
    theirs = AutoModel.from_pretrained(folders(kind)).eval()
    generator = torch.Generator().manual_seed(5)

    def delta(place: Place) -> Tensor:
        seen: list[int] = []
        handle = shifted_module(model.encoder, place).register_forward_hook(
            lambda _m, _i, output: seen.append(output.shape[-1])
        )
        model.hidden(batch)
        handle.remove()
        return torch.randn(len(batch.tokens), seen[0], generator=generator)

    added = delta("input")
    found = model.hidden(batch, shifts=[Shift("input", added)]).split(batch.lengths.tolist())
    table = theirs.get_input_embeddings()
    for one, tokens, more in zip(found, *(part.split(batch.lengths.tolist()) for part in (batch.tokens, added)), strict=True):
        inputs: dict[str, Any] = {"inputs_embeds": (table(tokens) + more)[None]}
        if kind_of(theirs.config).positions == "after padding":  # without ids it would count padding too
            inputs["position_ids"] = torch.arange(len(tokens))[None] + theirs.config.pad_token_id + 1
        expected = theirs(**inputs).last_hidden_state[0]
        torch.testing.assert_close(one, expected, atol=1e-5 * max(1.0, float(expected.abs().max())), rtol=1e-5)
    added = delta("embedding")
    before, after = model.hidden(batch, 0), model.hidden(batch, 0, [Shift("embedding", added)])
    if added.shape == before.shape:
        torch.testing.assert_close(after, before + added, atol=1e-5, rtol=1e-5)
    else:
        assert added.shape[-1] < before.shape[-1]
        assert not torch.allclose(after, before, atol=1e-2)
    assert not torch.allclose(model.hidden(batch, shifts=[Shift("embedding", added)]), model.hidden(batch), atol=1e-2)
    added = torch.randn(len(batch.tokens), model.width, generator=generator)
    with shift_last_states(model.encoder, batch, [Shift("last", added)]):
        after = model.hidden(batch)
    torch.testing.assert_close(after, model.hidden(batch) + added, atol=1e-5, rtol=1e-5)


def shares_of(module: nn.Module) -> list[float]:
    """Of every dropout in it, also those that are mere numbers of a module."""
    found = [part.p for part in module.modules() if isinstance(part, nn.Dropout)]
    for part in module.modules():
        found += [value for name, value in vars(part).items() if "dropout" in name and isinstance(value, float)]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_set_everywhere(folders: Callable[[str], str], kind: str) -> None:
    model = model_of(folders(kind), "xnli", "udpos", dropout=SHARE)
    shares = shares_of(model)
    assert len(shares) > 2
    assert set(shares) == {SHARE}
    assert remarks.has_dropout(model)
    assert not remarks.has_dropout(model_of(folders(kind), "xnli", "udpos", dropout=0.0))
    inside = shares_of(model_of(folders(kind), attention_dropout=0.25).encoder)
    assert 0.25 in inside
    left = AutoConfig.from_pretrained(folders(kind))
    assert set(inside) - {0.25} <= {getattr(left, name, 0.0) for name in kind_of(left).dropouts}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_computed_again_or_it_is_refused(folders: Callable[[str], str], kind: str) -> None:
    section = ModelSection(backbone=folders(kind), gradient_checkpointing=True)
    name = kind.partition(" ")[0]
    if not DESCRIBED[name].checkpointing:
        with pytest.raises(UserError, match=f"gradient_checkpointing: encoders of type '{name}' cannot compute"):
            check_recomputing(section, name)
        return
    check_recomputing(section, name)
    batch, found = batch_of(ROWS), []
    for again in (False, True):
        model = model_of(folders(kind), dropout=0.0).train()
        if again:
            model.encoder.gradient_checkpointing_enable({"use_reentrant": False})
        states = model.hidden(batch)
        loss = (states * torch.linspace(-1, 1, states.numel()).view_as(states)).sum()
        found.append(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-5 * max(1.0, float(one.abs().max())), rtol=1e-5)


# As checkpoints of a kind differ; in those of long ago norms have other names.
LANGUAGE_HEADS: list[tuple[str, dict[str, bool]]] = [
    *((kind, {}) for kind in KINDS if " " not in kind),
    ("eurobert", {"tie_word_embeddings": True}),
    ("deberta-v2", {"legacy": False}),
    ("bert", {"old names": True}),
]


@pytest.mark.parametrize("kind, changes", LANGUAGE_HEADS, ids=str)
@torch.no_grad()
def test_the_checkpoint_s_own_language_head_is_found(
    folders: Callable[[str], str], tmp_path: Path, kind: str, changes: dict[str, bool]
) -> None:
    """By any name of the kind, however it is made; transformers' own class gives the logits."""
    if "legacy" in changes and Version(transformers.__version__) < Version("5.20"):
        pytest.skip("transformers before 5.20 cannot make this head: it ties a weight that the head has not")
    config = AutoConfig.from_pretrained(folders(kind))
    for name, value in changes.items():
        setattr(config, name, value)
    torch.manual_seed(3)
    whole = AutoModelForMaskedLM.from_pretrained(folders(kind), config=config).eval()
    for name, parameter in whole.named_parameters():
        if not name.startswith(f"{whole.base_model_prefix}."):
            nn.init.normal_(parameter, mean=float("norm" in name.lower() and "weight" in name), std=0.3)
    state = dict(whole.state_dict())
    if "old names" in changes:
        for old, new in (("gamma", "weight"), ("beta", "bias")):
            state = {name.replace(f"LayerNorm.{new}", f"LayerNorm.{old}"): value for name, value in state.items()}
        save_file({name: value.clone() for name, value in state.items()}, tmp_path / "model.safetensors", {"format": "pt"})
        config.save_pretrained(tmp_path)
    else:
        whole.save_pretrained(tmp_path)
    load_tokenizer(folders(kind)).save_pretrained(tmp_path)
    model, batch = model_of(str(tmp_path), "mlm"), masked(ROWS)
    assert load_language_heads(str(tmp_path), model, []) == ["mlm"]
    ids, mask = batch.padded(model.pad)
    expected = whole(input_ids=ids, attention_mask=mask).logits.flatten(0, 1)[batch.padded_index][batch.targets["masked"]]
    torch.testing.assert_close(model(View(batch))[0], expected, atol=2e-5 * max(1, float(expected.abs().max())), rtol=1e-5)
    if list(model.heads["mlm"].parameters()):
        fresh = model_of(folders(kind), "mlm")
        assert load_language_heads(folders(kind), fresh, []) == []  # and where there is none, it starts from scratch


def masked(rows: Sequence[Sequence[Sequence[int]]]) -> Batch:
    batch = batch_of(rows, head="mlm")
    batch.targets = {"masked": torch.tensor([1, 3, 8]), "label": torch.tensor([8, 9, 7])}
    return batch


@pytest.mark.parametrize("kind", [kind for kind in KINDS if " " not in kind])
def test_a_language_head_trains(folders: Callable[[str], str], kind: str) -> None:
    """Through an embedding that is narrower than the states too; with all of its parameters, in parts as at once."""
    model, batch = model_of(folders(kind), "mlm").train(), masked(ROWS)
    (losses,) = model(View(batch))
    losses.sum().backward()
    head = model.heads["mlm"]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


@pytest.mark.parametrize("family, name", [("classification", "xnli"), ("tagging", "udpos")])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if " " not in kind])
@torch.no_grad()
def test_what_is_exported_gives_the_same_logits(
    folders: Callable[[str], str], tmp_path: Path, kind: str, family: str, name: str
) -> None:
    model, batch = model_of(folders(kind), name), batch_of(ROWS[:2], head=name)
    if family == "tagging":
        batch.targets = {"words": torch.arange(len(batch.tokens))}
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    prepare_export(weights, folders(kind), task(name)).write(tmp_path / "out", "", ())
    loaded, report = getattr(transformers, f"AutoModel{CLASSES[family]}").from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not report["missing_keys"]
    found = [
        loaded.eval()(input_ids=tokens[None]).logits.flatten(0, -2) for tokens in batch.tokens.split(batch.lengths.tolist())
    ]
    expected = model(View(batch))[0]
    torch.testing.assert_close(torch.cat(found), expected, atol=1e-5 * max(1.0, float(expected.abs().max())), rtol=1e-5)


@pytest.mark.parametrize(
    "pooling, kind", [("cls", "modernbert"), ("mean", "modernbert"), *((one, "eurobert") for one in ("bos", "mean", "late"))]
)
@torch.no_grad()
def test_states_are_pooled_as_the_checkpoint_says(
    folders: Callable[[str], str], tmp_path: Path, kind: str, pooling: str
) -> None:
    folder = tiny_kind(tmp_path / kind, kind)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**said, "classifier_pooling": pooling}))
    model, batch = model_of(str(folder), "xnli"), batch_of(ROWS[:2], head="xnli")
    prepare_export(dict(model.state_dict()), str(folder), task("xnli")).write(tmp_path / "out", "", ())
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    ids, mask = batch.padded(model.pad)
    expected = loaded(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(model(View(batch))[0], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_encoder_that_is_told_languages_is_told_that_of_each_row(tmp_path: Path) -> None:
    folder = tiny_kind(tmp_path / "xlm", "xlm", n_langs=3)
    said = json.loads((folder / "config.json").read_text())
    numbers = {"en": 1, "de": 2, "sw": 0}
    (folder / "config.json").write_text(json.dumps({**said, "lang2id": numbers, "id2lang": {v: k for k, v in numbers.items()}}))
    assert read_encoder(str(folder)).languages == {"en", "de", "sw"}  # type: ignore[union-attr]
    model, batch = model_of(str(folder)), batch_of(ROWS)
    with pytest.raises(UserError, match="needs the language of each row"):
        model.hidden(batch)
    batch.languages = ("deu_Latn", "sw", "eng")
    encoder = read_encoder(str(folder))
    assert encoder
    check_subsets(encoder, [Subset(task("sib200"), "test", code) for code in ("deu_Latn", "swh_Latn")])
    with pytest.raises(UserError, match=r"was not trained on 'yor_Latn' \(sib200 test yor_Latn\), but de, en, sw"):
        check_subsets(encoder, [Subset(task("sib200"), "test", "yor_Latn")])
    theirs = AutoModel.from_pretrained(folder).eval()
    found = model.hidden(batch).split(batch.lengths.tolist())
    for one, tokens, number in zip(found, batch.tokens.split(batch.lengths.tolist()), (2, 0, 1, 1), strict=True):
        expected = theirs(input_ids=tokens[None], langs=torch.full_like(tokens[None], number)).last_hidden_state[0]
        torch.testing.assert_close(one, expected, atol=1e-5, rtol=1e-5)
    batch.languages = ("de", "sw", "fr")
    with pytest.raises(UserError, match="was not trained on 'fr'"):
        model.hidden(batch)


def test_comparing_two_equal_passes_is_told(folders: Callable[[str], str]) -> None:
    """Of an encoder without dropout, as mmBERT is, R-Drop compares nothing."""
    consistency = METHODS.get("consistency")
    drop, noisy = consistency(scale=0.0), consistency()
    still, drawing = (model_of(folders("modernbert"), "xnli", dropout=share) for share in (None, 0.1))
    assert remarks.compares_equals(still, [drop])
    assert not remarks.compares_equals(still, [noisy])
    assert not remarks.compares_equals(drawing, [drop])
    assert remarks.compares_equals(drawing, [consistency(scale=0.0, same_dropout=True)])


@pytest.mark.parametrize("kind", [*REFUSED, "nomic_bert", "xlm-robertta"])
def test_what_is_no_encoder_of_ours_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    """As a run finds it before anything starts."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    save_file({"one": torch.ones(9)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError) as error:
        read_encoder(str(tmp_path))
    assert str(error.value).startswith(f"{tmp_path}: ")
    assert f"model type '{kind}'" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "values, said",
    [
        ({"model_type": "bert", "is_decoder": True}, "is_decoder in config.json makes it a decoder"),
        ({"model_type": "bert", "is_encoder_decoder": True}, "an encoder with a decoder"),
        ({"model_type": "xlm-roberta", "pad_token_id": None}, "pad_token_id is null in config.json"),
        ({"model_type": "xlm-robertta"}, "did you mean 'xlm-roberta'?"),
        ({}, "names no model_type"),
    ],
)
def test_a_configuration_that_makes_it_something_else_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        check_kind("place", values)
    assert said in str(error.value)


def made() -> Any:
    """docs/make_encoders.py, which writes the table."""
    spec = spec_from_file_location("make_encoders", ROOT / "docs/make_encoders.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_encoders_is_current() -> None:
    assert (ROOT / "docs/encoders.md").read_text(encoding="utf-8") == made().page(), "run: python docs/make_encoders.py"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if " " not in kind])
def test_the_table_says_which_heads_leave(folders: Callable[[str], str], tmp_path: Path, kind: str) -> None:
    """An export compares what the head computes with transformers' class before it writes."""
    left = []
    for family, name in (("classification", "xnli"), ("multiple-choice", "siqa"), ("tagging", "udpos"), ("span-qa", "squad")):
        if family in DESCRIBED[kind].without:
            continue  # refused before it could be trained
        with suppress(UserError):
            state = model_of(folders(kind), name).state_dict()
            prepare_export(state, folders(kind), task(name)).write(tmp_path / name, "", ())
            left.append(family)
    assert left == made().exports(kind)
