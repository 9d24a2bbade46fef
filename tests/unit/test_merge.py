"""xdist merge: what it computes, what it says it did, and a merge as a stage of a study."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from test_export import make_run
from tiny import tiny_benchmark, tiny_model
from tiny_study import graph_of, named

from xdist.cli import main
from xdist.config import Model, load_run
from xdist.config.merge import Ingredient, Merge, Swapped
from xdist.data.fetched import model_digest
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.export.merging import merge
from xdist.files import Digests, write_json
from xdist.model.encoder import load_encoder
from xdist.model.kinds import KINDS, kind_of
from xdist.model.layers import depth_of, has_numbered_layers
from xdist.study import Facts
from xdist.study.state import standings


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An encoder unchanged, and three models of it: of a task, of the same with another seed, of another task."""
    folder = tmp_path_factory.mktemp("merge")
    tiny_benchmark(folder / "cldr")
    base = tiny_model(folder / "base", folder / "cldr")
    for seed, (name, task) in enumerate([("topic", "cldr-topic"), ("again", "cldr-topic"), ("spans", "cldr-spans")]):
        make_run(folder / name, base, [task], seed)
        _shifted(folder / name / "model", seed + 1)
        write_json(folder / name / "model" / "trained_on.json", [_training(name, task)])
    return {"base": base, **{name: folder / name / "model" for name in ("topic", "again", "spans")}}


def _shifted(folder: Path, seed: int) -> None:
    """As if it had been trained."""
    generator = torch.Generator().manual_seed(seed)
    weights = load_file(folder / "model.safetensors")
    moved = {name: value + 0.1 * torch.randn(value.shape, generator=generator) for name, value in weights.items()}
    save_file(moved, folder / "model.safetensors", {"format": "pt"})


def _training(name: str, task: str) -> dict[str, Any]:
    return {
        "run": name,
        "tasks": [{"task": task, "head": task, "languages": ["en"]}],
        "description": {
            "seed": 1,
            "model": {"backbone": "base", "freeze_embeddings": False},
            "train": {
                "tasks": [{"task": task, "languages": ["en"], "weight": None}],
                "steps": 5,
                "epochs": None,
                "batch_size": 32,
                "learning_rate": 1e-4,
                "select": None,
            },
            "robust": [],
            "precision": "fp32",
        },
    }


def weights(folder: Path) -> dict[str, torch.Tensor]:
    heads = {f"heads.{name}": value for name, value in load_file(folder / "heads.safetensors").items()}
    return load_file(folder / "model.safetensors") | heads


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, ["merge", *map(str, words)])


def test_a_merge_of_strength_0_is_the_start_to_the_bit(tmp_path: Path, places: dict[str, Path]) -> None:
    done = typed(places["topic"], f"{places['spans']}=0", tmp_path / "out", "--minus", places["base"])
    assert done.exit_code == 0, done.output
    for name in ("model.safetensors", "heads.safetensors", "config.json", "tokenizer.json", "heads.json"):
        assert (tmp_path / "out" / name).read_bytes() == (places["topic"] / name).read_bytes()
    assert model_digest(str(tmp_path / "out"), Digests()) == model_digest(str(places["topic"]), Digests())
    trained = json.loads((tmp_path / "out" / "trained_on.json").read_text())
    assert [one["run"] for one in trained] == ["topic"], "nothing of the other is in it"


def test_a_merge_of_runs_is_the_mean_of_their_weights(tmp_path: Path, places: dict[str, Path]) -> None:
    assert typed(places["topic"].parent, places["again"].parent, tmp_path / "out").exit_code == 0
    one, other, found = weights(places["topic"]), weights(places["again"]), weights(tmp_path / "out")
    assert found.keys() == one.keys()
    for name, value in found.items():
        assert torch.equal(value, ((one[name].double() + other[name].double()) / 2).float()), name
    trained = json.loads((tmp_path / "out" / "trained_on.json").read_text())
    assert [one["run"] for one in trained] == ["topic", "again"]


def test_a_merge_of_task_vectors_adds_and_takes_away(tmp_path: Path, places: dict[str, Path]) -> None:
    """A language's vector is added, another one taken away; the head of the start is what no other holds, so it stays."""
    words = (places["topic"], f"{places['spans']}=0.5", f"{places['again']}=-0.25", tmp_path / "out", "--minus", places["base"])
    assert typed(*words).exit_code == 0
    base, found = load_file(places["base"] / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    topic, spans, again = (load_file(places[name] / "model.safetensors") for name in ("topic", "spans", "again"))
    for name, value in found.items():
        start = base[name].double()
        expected = topic[name].double() + 0.5 * (spans[name].double() - start) - 0.25 * (again[name].double() - start)
        assert torch.allclose(value.double(), expected, atol=1e-7), name
    heads, own = load_file(tmp_path / "out" / "heads.safetensors"), load_file(places["topic"] / "heads.safetensors")
    assert all(torch.equal(heads[name], value) for name, value in own.items())
    index = json.loads((tmp_path / "out" / "heads.json").read_text())
    assert set(index) == {"cldr-topic", "cldr-spans"}, "the head that the start lacks is taken over"
    told = json.loads((tmp_path / "out" / "merged.json").read_text())
    assert [one["weight"] for one in told["models"]] == [0.5, -0.25]
    assert told["minus"]["model"] == str(places["base"])


def test_a_merge_onto_the_encoder_as_it_came(tmp_path: Path, places: dict[str, Path]) -> None:
    """Several tasks' vectors on the pre-trained encoder, each with its head."""
    merge(str(places["base"]), _recipe(topic=0.5, spans=0.5, places=places, minus="base"), tmp_path / "out")
    found, base = load_file(tmp_path / "out" / "model.safetensors"), load_file(places["base"] / "model.safetensors")
    topic, spans = (load_file(places[name] / "model.safetensors") for name in ("topic", "spans"))
    name = "encoder.layer.1.output.dense.weight"
    assert torch.allclose(
        found[name], base[name] + 0.5 * (topic[name] - base[name]) + 0.5 * (spans[name] - base[name]), atol=1e-6
    )
    assert set(json.loads((tmp_path / "out" / "heads.json").read_text())) == {"cldr-topic", "cldr-spans"}


def test_a_merge_of_layers_swaps_these_alone(tmp_path: Path, places: dict[str, Path]) -> None:
    assert typed(places["topic"], places["again"], tmp_path / "out", "--top", 1).exit_code == 0
    one, other, found = weights(places["topic"]), weights(places["again"]), weights(tmp_path / "out")
    for name, value in found.items():
        expected = other if name.startswith("encoder.layer.1.") else one
        assert torch.equal(value, expected[name]), name
    merge(str(places["topic"]), _recipe(again=1, places=places, layers=Swapped(bottom=1, embeddings=True)), tmp_path / "low")
    for name, value in weights(tmp_path / "low").items():
        expected = other if name.startswith(("encoder.layer.0.", "embeddings.")) else one
        assert torch.equal(value, expected[name]), name


def _recipe(places: dict[str, Path], minus: str | None = None, layers: Swapped | None = None, **models: float) -> Merge:
    chosen = tuple(Ingredient(model=str(places[name]), weight=weight) for name, weight in models.items())
    return Merge(models=chosen, minus=str(places[minus]) if minus else None, layers=layers)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_merge_of_layers_finds_those_of_every_kind(folders: Callable[[str], str], name: str) -> None:
    encoder = load_encoder(Model(backbone=folders(name)), load_tokenizer(folders(name)), torch.float32)
    kind, number = kind_of(encoder.config), encoder.config.num_hidden_layers
    if not has_numbered_layers(kind):
        assert name == "albert"
        return
    found: dict[int | None, list[str]] = {}
    for weight in encoder.state_dict():
        found.setdefault(depth_of(weight, kind), []).append(weight)
    assert set(found) - {None} == set(range(number + 1))
    assert len({len(found[layer]) for layer in range(1, number + 1)}) <= 2, "modernbert's first layer has one norm less"
    assert any("embed" in weight for weight in found[0])
    assert all("norm" in weight.lower() for weight in found.get(None, []))


@pytest.mark.parametrize(
    "words, message",
    [
        (("topic", "small"), "model.safetensors|is \\(|holds no weight"),
        (("topic", "again", "--top", "3"), "merge.layers: 3 layers, and the encoder has 2"),
        (("topic", "again=1e9"), "a weight is a number from -100 to 100"),
        (("topic", "again=nan"), "a weight is a number from -100 to 100"),
        (("topic", "again", "--embeddings"), "--embeddings goes with --bottom or --top"),
        (("topic", "nowhere/at/all"), "nowhere/at/all: no such folder"),
    ],
)
def test_a_merge_that_cannot_be_is_one_line(
    tmp_path: Path, places: dict[str, Path], words: tuple[str, ...], message: str
) -> None:
    small = tiny_model(tmp_path / "small", places["base"].parent / "cldr", hidden=32)
    there = {**places, "small": small}
    given = [str(there[word]) if word in there else word.replace("again", str(places["again"])) for word in words]
    done = typed(*given[:2], tmp_path / "out", *given[2:])
    assert done.exit_code == 2, done.output
    assert done.output.count("\n") == 1
    assert re.search(message, done.output), done.output
    assert not (tmp_path / "out").exists()


@pytest.fixture
def with_merge(described: dict[str, Any]) -> dict[str, Any]:
    """A study of a target with and without the vector of another training, which is next to it."""
    target = described["stages"]["target"]["run"]
    scored = {key: target[key] for key in ("data", "model", "evaluate")}
    described["stages"]["target"].pop("after")
    added = {"models": [{"stage": "intermediate", "weight": 0.5}], "minus": "some/encoder"}
    described["stages"]["merged"] = {"run": {**scored, "merge": added}, "after": "target"}
    described["axes"] = {"merged": {"none": {"intermediate": None, "merged": None}, "half": {}}}
    return described


def test_a_merge_is_a_stage_that_waits_for_what_it_is_made_of(tmp_path: Path, with_merge: dict[str, Any]) -> None:
    graph = graph_of(tmp_path, with_merge)
    names = named(graph)
    assert len(names) == 6, "a target, an intermediate and a merged run for each seed"
    node = graph.nodes[names["merged-half-s1"]]
    intermediate, target = graph.nodes[names["intermediate-half-s1"]], graph.nodes[names["target-s1"]]
    assert node.before == (target.key, intermediate.key)
    assert node.run.merge
    assert node.run.merge.models[0].model == str(intermediate.run.folder / "model")
    assert node.run.model.backbone == str(target.run.folder / "model")
    assert graph.to_come(node)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(node.run.dump()))
    assert load_run(tmp_path / "one.yaml").dump() == node.run.dump(), "a run of its own"
    intermediate.run.folder.mkdir(parents=True)
    (intermediate.run.folder / "config.yaml").write_text(yaml.safe_dump(intermediate.run.dump()))
    (intermediate.run.folder / "failed").write_text("no")
    found = standings(graph, Facts())
    assert found[node.key].state == "blocked"
    assert found[target.key].state == "waiting"


@pytest.mark.parametrize(
    "override, redone",
    [
        ("stages.merged.run.merge.models.0.weight=0.25", {"merged"}),
        ("stages.merged.run.merge.layers={top: 1}", {"merged"}),
        ("stages.intermediate.set.train.learning_rate=1e-4", {"intermediate", "merged"}),
        ("stages.target.set.train.learning_rate=1e-4", {"target", "merged"}),
        ("seeds=[1, 2, 3]", set()),
    ],
)
def test_a_merge_is_made_anew_when_what_it_is_made_of_changes(
    tmp_path: Path, with_merge: dict[str, Any], override: str, redone: set[str]
) -> None:
    before, after = graph_of(tmp_path, with_merge), graph_of(tmp_path, with_merge, override)
    assert {node.stage for key, node in before.nodes.items() if key not in after.nodes} == redone


@pytest.mark.parametrize(
    "override, message",
    [
        (
            "stages.merged.run.merge.models.0.stage=intermediat",
            "unknown earlier stage 'intermediat': did you mean 'intermediate'",
        ),
        ("axes.merged.none={intermediate: null}", "'intermediate' is not used here, so there is nothing of it to merge"),
        ("stages.merged.run.merge.models.0={weight: 1}", "give either a model or, in a study, a stage"),
        ("stages.merged.run.train={steps: 1, tasks: [{task: xnli}]}", "a run trains or merges, not both"),
    ],
)
def test_a_merge_of_what_is_not_there_is_refused(
    tmp_path: Path, with_merge: dict[str, Any], override: str, message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        graph_of(tmp_path, with_merge, override)


def test_a_merge_outside_a_study_has_no_stages(tmp_path: Path, places: dict[str, Path], data: Path) -> None:
    run = {
        "name": "a",
        "folder": str(tmp_path / "a"),
        "model": {"backbone": str(places["topic"])},
        "data": {"root": str(data)},
        "merge": {"models": [{"stage": "other"}]},
        "evaluate": {"tasks": ["cldr-topic"]},
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(run))
    done = CliRunner().invoke(main, ["evaluate", str(tmp_path / "a.yaml"), "--dry-run"])
    assert done.exit_code == 2
    assert "only a study has stages" in done.output
    nowhere = ["evaluate", str(tmp_path / "a.yaml"), "merge.models=[{model: /no/where}]", "--dry-run"]
    assert "merge.models.0.model: /no/where: no such folder" in CliRunner().invoke(main, nowhere).output
    there = [*nowhere[:2], f"merge.models=[{{model: {places['again']}}}]", "--dry-run"]
    assert CliRunner().invoke(main, there).exit_code == 0
