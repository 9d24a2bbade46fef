"""Adapters on encoders of every kind: where they are, merged and apart, and as PEFT has them."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from batch_of import batch_of
from peft_folder import peft_folder
from safetensors.torch import load_file, save_file
from tiny import tiny_benchmark
from tiny_kinds import KINDS
from torch import Tensor

from xdist.appendix.cited import cited_papers
from xdist.config import Model as ModelSection
from xdist.config import load_run, load_study
from xdist.config.adapter import Adapter
from xdist.config.method import StepCost
from xdist.data.adapters import adapter_in
from xdist.data.fetched import model_digest
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.estimate.adapters import settings_of
from xdist.estimate.hours import forecast, traffic
from xdist.estimate.memory import Setting, memory, state_on_disk
from xdist.estimate.shapes import shape_of
from xdist.export import weights
from xdist.files import Digests, shipped
from xdist.model.adapters.attached import merge_lora
from xdist.model.adapters.held import adapters_of, describe_languages, trained_of
from xdist.model.adapters.modules import Invertible
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads, save_model
from xdist.model.kinds import KINDS as DESCRIBED
from xdist.model.model import Model
from xdist.resolve.encoder import read_encoder
from xdist.resolve.resolved import resolve
from xdist.study import Facts, expand
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

ROWS = [[[2, 8, 9, 11, 12, 15, 3]], [[2, 9, 3]], [[2, 8, 7, 3], [2, 5, 5, 5, 9, 3]]]
XNLI = task("xnli")


def model_of(folder: str, adapter: Any = None, seed: int | None = 1, pack: bool = True) -> Model:
    section = ModelSection.model_validate({"backbone": folder, "adapter": adapter})
    encoder = load_encoder(section, load_tokenizer(folder), torch.float32, seed if adapter else None)
    model = Model(encoder, {XNLI.head: family_of(XNLI)}, 1, pack).eval()
    if adapter:
        model.stands_on = (folder, "then")
    return model


def states(model: Model) -> Tensor:
    with torch.no_grad():
        return model.hidden(batch_of(ROWS))


def shaken(model: Model, seed: int = 3) -> Model:
    """With weights in its adapter of which none is nothing, as after a training."""
    own = trained_of(model.encoder)
    assert own
    generator = torch.Generator().manual_seed(seed)
    for value in own.parameters().values():
        value.data = 0.1 * torch.randn(value.shape, generator=generator)
    return model


def saved(model: Model, folder: Path) -> str:
    state = {name: value.detach().clone() for name, value in model.named_parameters() if model.is_saved(name)}
    save_model(folder, model, state, load_tokenizer(str(model.encoder.config._name_or_path)))
    return str(folder)


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5 * max(1.0, float(expected.abs().max())), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_lora_stands_beside_every_matrix_that_the_kind_says(folders: Callable[[str], str], kind: str, tmp_path: Path) -> None:
    """Nothing at the start; merged as unmerged; and as a folder what it was."""
    frozen, model = model_of(folders(kind)), model_of(folders(kind), {"rank": 3})
    own, described = trained_of(model.encoder), DESCRIBED[model.encoder.config.model_type]
    assert own
    layers = 1 if model.encoder.config.model_type == "albert" else 3
    assert len(own.modules) == layers * (len(described.attention) + len(described.mlp))
    assert {name for name, value in model.encoder.named_parameters() if value.requires_grad} == {
        name for name, _ in model.encoder.named_parameters() if own.names(name)
    }
    assert torch.equal(states(model), states(frozen))
    expected = states(shaken(model))
    assert not torch.allclose(expected, states(frozen), atol=1e-2)
    again = model_of(saved(model, tmp_path / "model"))
    assert torch.equal(states(again), expected)
    whole = model_of(folders(kind))
    whole.encoder.load_state_dict(merge_lora(model.encoder))
    near(states(whole), expected)


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("kind", KINDS)
def test_lora_is_not_all_bottleneck_adapters_stand_after_layers(
    folders: Callable[[str], str], kind: str, pack: bool, tmp_path: Path
) -> None:
    frozen = model_of(folders(kind), pack=pack)
    model = model_of(folders(kind), {"kind": "bottleneck", "rank": 5}, pack=pack)
    assert len(trained_of(model.encoder).modules) == (1 if model.encoder.config.model_type == "albert" else 3)  # type: ignore[union-attr]
    near(states(model), states(frozen))
    expected = states(shaken(model))
    assert not torch.allclose(expected, states(frozen), atol=1e-2)
    assert torch.equal(states(model_of(saved(model, tmp_path / "model"), pack=pack)), expected)
    with pytest.raises(UserError, match="cannot be merged"):
        merge_lora(model.encoder)


@pytest.mark.parametrize("adapter", [{"rank": 0}, {"rank": 4, "alpha": 0}, {"kind": "bottleneck", "rank": 0}])
def test_lora_of_rank_0_or_alpha_0_is_the_frozen_encoder(folders: Callable[[str], str], adapter: Any, tmp_path: Path) -> None:
    model = model_of(folders("xlm-roberta"), adapter)
    if trained_of(model.encoder).modules:  # type: ignore[union-attr]
        shaken(model)
    expected = states(model_of(folders("xlm-roberta")))
    assert torch.equal(states(model), expected)
    again = model_of(saved(model, tmp_path / "model"))
    assert torch.equal(states(again), expected)
    assert carry_heads(str(tmp_path / "model"), again) == ([XNLI.head], [])


@pytest.mark.parametrize("targets, count", [(["attention"], 12), (["mlp"], 6), (None, 18)])
def test_lora_targets(folders: Callable[[str], str], targets: list[str] | None, count: int, tmp_path: Path) -> None:
    model = shaken(model_of(folders("xlm-roberta"), {"rank": 2, "targets": targets}))
    assert len(trained_of(model.encoder).modules) == count  # type: ignore[union-attr]
    folder = saved(model, tmp_path / "model")
    assert len(load_file(tmp_path / "model/adapter_model.safetensors")) == 2 * count
    near(states(model_of(folder)), states(model))


def test_lora_above_lora_is_merged_where_the_whole_encoder_is_trained(folders: Callable[[str], str], tmp_path: Path) -> None:
    below = saved(shaken(model_of(folders("bert"), {"rank": 2})), tmp_path / "below")
    model = shaken(model_of(below, {"rank": 3, "targets": ["mlp"]}))
    expected = states(model)
    above = saved(model, tmp_path / "above")
    assert [one.kind for one in adapters_of(model_of(above).encoder).adapters] == ["lora", "lora"]
    assert torch.equal(states(model_of(above)), expected)
    full = model_of(above)  # as a training of all layers leaves it, which begins with the adapters
    near(states(model_of(saved(full, tmp_path / "full"))), expected)
    assert not (tmp_path / "full/adapter.json").exists()
    found = weights.of_model(Path(above))
    whole = model_of(folders("bert"))
    whole.encoder.load_state_dict(
        {name.removeprefix("encoder."): value for name, value in found.items() if "heads." not in name}
    )
    near(states(whole), expected)


def test_lora_is_part_of_the_digest_of_a_model_wherever_it_lies(folders: Callable[[str], str], tmp_path: Path) -> None:
    one, other = (
        saved(shaken(model_of(folders("bert"), {"rank": 2, "alpha": alpha})), tmp_path / f"{alpha}") for alpha in (4, 8)
    )
    assert model_digest(one, Digests()) != model_digest(other, Digests())
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "4").rename(tmp_path / "moved/4")
    told = json.loads((moved / "adapter.json").read_text())
    before = model_digest(str(moved), Digests())
    (moved / "adapter.json").write_text(json.dumps({**told, "backbone": "somewhere/else"}))
    assert model_digest(str(moved), Digests()) == before
    assert adapter_in(moved).below == "somewhere/else"  # type: ignore[union-attr]


def test_lora_of_peft_is_read_and_what_is_not_is_refused(folders: Callable[[str], str], tmp_path: Path) -> None:
    frozen = model_of(folders("xlm-roberta"))
    place = peft_folder(tmp_path / "peft", frozen.encoder, rank=3, alpha=6)
    model = model_of(folders("xlm-roberta"), {"folder": str(place)}, seed=None)
    assert not torch.allclose(states(model), states(frozen), atol=1e-2)
    config = json.loads((place / "adapter_config.json").read_text())
    values = load_file(place / "adapter_model.safetensors")

    def refused(**changed: Any) -> str:
        (place / "adapter_config.json").write_text(json.dumps({**config, **changed}))
        with pytest.raises(UserError) as caught:
            model_of(folders("xlm-roberta"), {"folder": str(place)})
        return str(caught.value)

    assert "peft_type is 'IA3'" in refused(peft_type="IA3")
    assert "use_dora is True" in refused(use_dora=True)
    assert "bias is 'all'" in refused(bias="all")
    first = next(iter(values))
    save_file({**values, first: values[first].new_full(values[first].shape, float("nan"))}, place / "adapter_model.safetensors")
    assert "not finite" in refused()
    save_file({first.replace("layer.0", "layer.9"): values[first]}, place / "adapter_model.safetensors")
    assert "which is no matrix of this encoder" in refused()
    save_file({first: values[first]}, place / "adapter_model.safetensors")
    assert "has other sizes than the matrix" in refused()
    (place / "adapter_model.safetensors").unlink()
    assert "holds no adapter_model.safetensors" in refused()
    with pytest.raises(UserError, match=r"holds an adapter alone: give .* model\.adapter\.folder"):
        read_encoder(str(place))


def test_lora_by_peft_itself(folders: Callable[[str], str], tmp_path: Path) -> None:
    """A folder of ours in PEFT, and one of PEFT's here, pattern of ranks and rank-stabilised scale included."""
    peft = pytest.importorskip("peft")
    from transformers import AutoModel

    model = shaken(model_of(folders("xlm-roberta"), {"rank": 3, "alpha": 5}))
    folder = saved(model, tmp_path / "model")
    batch = batch_of(ROWS)
    ids, mask = batch.padded(model.pad)
    theirs = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(folders("xlm-roberta")), folder).eval()
    with torch.no_grad():
        near(batch.of_tokens(theirs(input_ids=ids, attention_mask=mask).last_hidden_state), states(model))
    options = {"r": 2, "lora_alpha": 3, "use_rslora": True, "target_modules": ["query", "dense"]}
    patterns = {"rank_pattern": {"layer.1.attention.self.query": 4}, "alpha_pattern": {"layer.1.attention.self.query": 7}}
    config = peft.LoraConfig(**options, **patterns, exclude_modules=["pooler.dense"], init_lora_weights=False)
    made = peft.get_peft_model(AutoModel.from_pretrained(folders("xlm-roberta"), add_pooling_layer=False), config).eval()
    made.save_pretrained(tmp_path / "peft")
    with torch.no_grad():
        expected = batch.of_tokens(made(input_ids=ids, attention_mask=mask).last_hidden_state)
    near(states(model_of(folders("xlm-roberta"), {"folder": str(tmp_path / "peft")}, seed=None)), expected)


@pytest.mark.parametrize(
    "adapter, line",
    [
        ({"kind": "bottleneck", "alpha": 3}, "alpha: an adapter of kind 'bottleneck' has none"),
        ({"kind": "lora", "invertible": True}, "invertible: an adapter of kind 'lora' has none"),
    ],
)
def test_lora_options_of_the_other_kind_are_refused(adapter: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Adapter.model_validate(adapter)
    with pytest.raises(ValueError, match="remove frozen_layers"):
        ModelSection.model_validate({"backbone": "x", "adapter": {}, "frozen_layers": 1})


@pytest.mark.parametrize(
    "adapter",
    [{"rank": 8}, {"rank": 4, "targets": ["mlp"]}, {"kind": "bottleneck", "rank": 6}, {"rank": 0}],
    ids=["lora", "mlp", "bottleneck", "none"],
)
def test_lora_is_counted_by_the_plan_as_it_is(folders: Callable[[str], str], adapter: dict[str, Any]) -> None:
    """Parameters, and what falls with them: optimizer states, what is sent, what a checkpoint holds, the backward pass."""
    model = model_of(folders("xlm-roberta"), adapter)
    own = trained_of(model.encoder)
    assert own
    count = sum(value.numel() for value in own.parameters().values())
    shape = shape_of(folders("xlm-roberta"))
    said = settings_of(shape, Adapter.model_validate(adapter))
    assert said["adapted"] == count
    plain, small = Setting(ranks=2, stage=2, trained_rows=0), Setting(ranks=2, stage=2, trained_rows=0, **said)
    share = count / (shape.parameters - shape.pieces * shape.width)
    assert state_on_disk(shape, small) == pytest.approx(share * state_on_disk(shape, plain))
    assert memory(shape, small).optimizer == pytest.approx(share * memory(shape, plain).optimizer)
    assert traffic(shape, small, StepCost()) == pytest.approx(share * traffic(shape, plain, StepCost()))
    speeds = {"step_tokens": 1e6, "attended": 0.0, "head": 0.0, "peak": 1e12, "reached": 0.5, "interconnect": None}
    ratio = forecast(shape, small, StepCost(), **speeds).compute / forecast(shape, plain, StepCost(), **speeds).compute
    extra = count / shape.matrices
    assert ratio == pytest.approx((1 + extra) * (2 + extra) / 3)


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert"])
def test_lora_and_task_adapters_stand_above_the_adapter_of_the_language(
    folders: Callable[[str], str], kind: str, pack: bool, tmp_path: Path
) -> None:
    """Each row by that of its language, in any code; others by the fallback's, or without; mixed in a batch as alone."""
    languages = {}
    for number, code in enumerate(("sw", "qu")):
        made = model_of(folders(kind), {"kind": "bottleneck", "rank": 4, "invertible": True}, seed=number)
        shaken(made, number)
        languages[code] = {"model": saved(made, tmp_path / code)}
    task_adapter = saved(shaken(model_of(folders(kind), {"rank": 2, "languages": languages}, pack=pack), 9), tmp_path / "task")
    shutil.rmtree(tmp_path / "sw")  # its adapter went along
    model = model_of(task_adapter, pack=pack)
    batch = batch_of(ROWS)

    def read(*codes: str, by: Model = model) -> Tensor:
        with torch.no_grad():
            return by.hidden(replace(batch, languages=codes))

    sw, qu, none = read("swh_Latn", "sw", "sw"), read("qu", "qu", "qu"), read("de", "de", "de")
    assert not torch.allclose(sw, qu, atol=1e-2)
    mixed = read("qu", "de", "sw")
    for row, expected in enumerate((qu, none, sw)):
        near(mixed[batch.token_row == row], expected[batch.token_row == row])
    assert describe_languages(model.encoder, ["de", "sw", "fr"]) == [
        "languages without their own adapter are read with none: de, fr"
    ]
    other = model_of(folders(kind), {"folder": task_adapter}, seed=None, pack=pack)
    near(read("de", "de", "de", by=other), none)
    fallen = model_of(task_adapter, {"languages": {"qu": languages["qu"]}, "fallback": "qu"}, seed=None, pack=pack)
    near(read("de", "sw", "de", by=fallen)[batch.token_row != 1], qu[batch.token_row != 1])
    assert describe_languages(fallen.encoder, ["de"])[0].endswith("read with that of 'qu': de")


def test_lora_bottleneck_language_models_multiply_by_the_embedding_that_they_began_with(
    folders: Callable[[str], str], tmp_path: Path
) -> None:
    """An invertible adapter goes back before the product: with an encoder and a head that do nothing the logits are those of
    the embedding."""
    invertible = Invertible(16)
    generator = torch.Generator().manual_seed(2)
    for value in invertible.parameters():
        value.data = torch.randn(value.shape, generator=generator)
    given = torch.randn(3, 5, 16, generator=generator)
    with torch.no_grad():
        assert not torch.allclose(invertible(given), given, atol=0.1)
        torch.testing.assert_close(invertible.inverse(invertible(given)), given, atol=1e-4, rtol=1e-4)
    section = ModelSection.model_validate(
        {"backbone": folders("xlm-roberta"), "adapter": {"kind": "bottleneck", "rank": 2, "invertible": True}}
    )
    encoder = load_encoder(section, load_tokenizer(folders("xlm-roberta")), torch.float32, 1)
    family = family_of(task("mlm"))
    plain = Model(encoder, {"mlm": family}, 1).eval()
    states = torch.randn(4, 32, generator=generator)
    with torch.no_grad():
        before = plain.heads["mlm"](states)
        shaken(plain)
        head = plain.heads["mlm"]
        after = head(states)
        own = trained_of(encoder)
        assert own
        normed = torch.nn.functional.layer_norm(
            torch.nn.functional.gelu(head.dense(states)),
            (32,),
            head.layer_norm.weight,
            head.layer_norm.bias,
            head.layer_norm.eps,
        )
        expected = own.modules["invertible"].inverse(normed) @ encoder.get_input_embeddings().weight.T + head.bias
    assert not torch.allclose(after, before, atol=1e-2)
    near(after, expected)


def test_lora_of_languages_is_waited_for_by_the_runs_of_a_study_that_stand_above_it() -> None:
    """And is part of their keys; a stage that is left out leaves its language without."""
    path = shipped("jobs") / "studies/madx.yaml"
    graph = expand(load_study(path), Facts())
    counts = Counter(node.stage for node in graph.nodes.values())
    assert counts == {**dict.fromkeys(("sw", "qu", "wo", "gu", "eu", "uk"), 1), "target": 9}
    above = [node for node in graph.nodes.values() if node.run.model.adapter and node.run.model.adapter.languages]
    assert len(above) == 3
    for node in above:
        adapter = node.run.model.adapter
        assert adapter
        assert [graph.nodes[key].stage for key in node.before] == ["sw", "qu", "wo", "gu", "eu", "uk"]
        places = [str(graph.nodes[key].run.folder / "model") for key in node.before]
        assert [one.model for one in adapter.languages.values()] == places
    changed = expand(load_study(path, ["stages.sw.set={seed: 1, model.adapter.rank: 8}"]), Facts())
    assert {node.key for node in graph.nodes.values() if node.key not in changed.nodes} == {
        *(node.key for node in above),
        *(node.key for node in graph.nodes.values() if node.stage == "sw"),
    }
    fewer = expand(load_study(path, ["axes.adapters.madx.sw=null"]), Facts())
    for node in fewer.nodes.values():
        if (adapter := node.run.model.adapter) and adapter.languages:
            assert "sw" not in adapter.languages
    with pytest.raises(UserError, match="earlier stage 'que'"):
        expand(load_study(path, ["axes.adapters.madx.target={model.adapter: {languages: {sw: {stage: que}}}}"]), Facts())


def test_lora_that_is_not_there_is_told_at_the_key(folders: Callable[[str], str], tmp_path: Path) -> None:
    tiny_benchmark(tmp_path / "data")
    values = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "data": {"root": str(tmp_path / "data")},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 5},
    }

    def refused(adapter: dict[str, Any]) -> str:
        described = {**values, "model": {"backbone": folders("xlm-roberta"), "adapter": adapter}}
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(described))
        with pytest.raises(UserError) as caught:
            resolve(load_run(tmp_path / "run.yaml"), starts_here=False)
        assert "\n" not in str(caught.value)
        return str(caught.value).replace(str(tmp_path), "")

    assert "model.adapter.folder: nowhere: no such folder" in refused({"folder": "nowhere"})
    assert "holds no such adapter" in refused({"folder": str(tmp_path / "data")})
    assert "model.adapter.languages.sw.model: nowhere" in refused({"languages": {"sw": {"model": "nowhere"}}})
    assert "model.adapter.languages.sw.stage: only a study has stages" in refused({"languages": {"sw": {"stage": "sw"}}})
    assert "model.adapter.languages.klingon: " in refused({"languages": {"klingon": {"model": "nowhere"}}})


def test_lora_is_cited_where_it_was_trained() -> None:
    graph = expand(load_study(shipped("jobs") / "studies/madx.yaml"), Facts())
    assert "mad-x" in cited_papers(node.run for node in graph.nodes.values())
    run = load_run(shipped("jobs") / "runs/small/sib200.yaml")
    assert not {"lora", "mad-x"} & set(cited_papers([run]))
    adapted = load_run(shipped("jobs") / "runs/small/sib200.yaml", ["model.adapter={kind: lora}"])
    assert cited_papers([adapted])["lora"][0] == ["adapters (lora)"]
