"""Branches under DeepSpeed: gradients by hand at every ZeRO stage, resuming to the bit, plain with nothing to branch."""

import json
from pathlib import Path

import pytest
import torch
from distributed.group import Group
from distributed.tensors import apart
from distributed.test_checkpoints import options, same_models
from distributed.test_same_result import ACCUMULATED, stage
from safetensors.torch import load_file

BRANCHES = "model.branches={layers: 1}"
MIXED = "robust={method: branch_mixture, weight: 0.8}"


@pytest.fixture(scope="module")
def student(two: Group, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a run with branches of two languages, which training has moved apart."""
    folder = tmp_path_factory.mktemp("branches") / "run"
    more = (BRANCHES, MIXED, "train.learning_rate=1e-2", "name=student")
    assert two.run("whole_run", path=str(small_run), overrides=options(folder, 3, *more))[0]["finished"]
    return folder / "model"


@pytest.fixture(scope="module")
def teachers(two: Group, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`train.distil` with one teacher for each language, and a cache of their own for what they say."""
    places = {}
    for seed, code in enumerate(("en", "de"), 7):
        folder = tmp_path_factory.mktemp("teachers") / code
        more = ("train.learning_rate=1e-2", f"seed={seed}", f"name=teacher-{code}", f"train.tasks.0.languages=[{code}]")
        two.run("whole_run", path=str(small_run), overrides=options(folder, 0, *more))
        places[code] = {"model": str(folder / "model")}
    how = json.dumps({"languages": places, "weight": 0.5, "labels": 1, "temperature": 2})
    return [f"train.distil={how}", f"data.cache={tmp_path_factory.mktemp('prepared')}"]


def test_branch_gradients_are_those_of_a_plain_loop(
    one: Group, two: Group, small_run: Path, student: Path, teachers: list[str]
) -> None:
    """Of branches, mixtures and a teacher for each language at once; several micro-batches on each of two ranks, some of one
    language alone, at every stage."""
    chosen = [f"model.backbone={student}", MIXED, *teachers, "model.vocabulary=full"]
    arguments = {"path": str(small_run), "overrides": chosen, "languages": ["en", "de"]}
    expected = one.run("branch_cases.gradient", **arguments)[0]
    assert any("branch_1" in name for name in expected)
    assert all(values.any() for values in expected.values())
    differently = [[], ["runtime.attention=padded"], [], ["model.gradient_checkpointing=true"]]
    for number, more in enumerate(differently):
        found = two.run("gradient", path=str(small_run), overrides=[*chosen, *more, *ACCUMULATED, *stage(number)])[0]
        assert apart(found, expected, 2e-5, relative=1e-3) == [], number


def test_branches_and_their_teachers_go_on_to_the_bit(two: Group, small_run: Path, tmp_path: Path, teachers: list[str]) -> None:
    for number in (0, 2, 3):
        for name, stop_at in (("whole", None), ("stopped", 1), ("stopped", None)):
            more = (BRANCHES, MIXED, *teachers, "model.dropout=0.1")
            chosen = options(tmp_path / f"{name}-{number}", number, *more)
            two.run("whole_run", path=str(small_run), overrides=chosen, stop_at=stop_at)
        assert same_models(tmp_path / f"whole-{number}", tmp_path / f"stopped-{number}"), number
    model = tmp_path / "whole-0" / "model"
    assert json.loads((model / "branches.json").read_text()) == {"layers": 1, "languages": ["en", "de"]}
    trained = json.loads((model / "trained_on.json").read_text())
    assert [one["run"] for one in trained] == ["teacher-en", "teacher-de", "small"]
    cache = Path(teachers[1].partition("=")[2])
    told = sorted(path.parent.name.split("-")[3] for path in cache.glob("teacher-cldr-topic-*/shard-*.npy"))
    assert told == ["de", "en"], "a teacher's word on its own language alone, once for all of these runs"
    values = load_file(model / "model.safetensors")
    name = next(name for name in values if ".branch_1." in name and name.endswith("weight") and "LayerNorm" not in name)
    assert not torch.equal(values[name], values[name.replace(".branch_1.", ".")])


def test_branch_mixture_of_weight_0_and_one_branch_are_plain_to_the_bit(two: Group, small_run: Path, tmp_path: Path) -> None:
    english = "train.tasks.0.languages=[en]"
    runs = {
        "none": [BRANCHES],
        "zero": [BRANCHES, "robust={method: branch_mixture, weight: 0}"],
        "plain": [english],
        "one": [english, BRANCHES],
    }
    for name, more in runs.items():
        two.run("whole_run", path=str(small_run), overrides=options(tmp_path / name, 1, *more))
    assert same_models(tmp_path / "none", tmp_path / "zero")
    assert same_models(tmp_path / "plain", tmp_path / "one")
    assert not same_models(tmp_path / "none", tmp_path / "plain")


def test_branches_are_scored_alike_at_every_stage(two: Group, small_run: Path, student: Path, tmp_path: Path) -> None:
    """Own branches and the mean of all, also of languages that have none; at stage 3 with languages side by side."""
    found = {}
    for name, more in (("whole", stage(0)), ("parts", stage(3)), ("mixture", [*stage(0), "evaluate.branches=mixture"])):
        chosen = [f"folder={tmp_path / name}", "evaluate.tasks=[cldr-topic]", *more]
        two.run("evaluate_copy", path=str(small_run), overrides=chosen, source=str(student))
        files = (path for path in sorted((tmp_path / name / "predictions").rglob("test-*")) if path.is_file())
        found[name] = {path.name: path.read_text() for path in files}
    assert len(found["whole"]) > 2
    assert found["whole"] == found["parts"]
    unseen = [name for name in found["whole"] if not ("-en" in name or "-de" in name)]
    assert {name: found["whole"][name] for name in unseen} == {name: found["mixture"][name] for name in unseen}
    dev = f"train.select={{every: 1, by: loss, languages: [en, de, {unseen[0][5:-4]}]}}"
    chosen = [f"model.backbone={student}", dev]
    values = [two.run("judged", path=str(small_run), overrides=[*chosen, *stage(number)])[0] for number in (0, 3)]
    assert values[0] == pytest.approx(values[1], abs=1e-5)
    made = json.loads((tmp_path / "mixture" / "scores.json").read_text())["tasks"]["cldr-topic"]
    assert "mixture" in json.dumps(made)
