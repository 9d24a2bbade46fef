"""Distillation: its gradient by hand, nothing at weight 0, on after a stop, shards made once."""

import json
from pathlib import Path

import pytest
import yaml
from distributed.group import Group
from distributed.tensors import apart
from distributed.test_checkpoints import options, same_models


@pytest.fixture(scope="module")
def teacher(two: Group, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    more = ("train.learning_rate=1e-2", "seed=7", "name=teacher")
    assert two.run("whole_run", path=str(small_run), overrides=options(folder, 0, *more))[0]["finished"]
    return folder / "model"


def from_teacher(teacher: Path, weight: float) -> str:
    return f"train.distil={{teacher: {teacher}, weight: {weight}, temperature: 3}}"


def test_distil_has_the_gradient_of_a_plain_loop(one: Group, two: Group, small_run: Path, teacher: Path) -> None:
    chosen = (from_teacher(teacher, 0.7), "model.vocabulary=full")
    expected = one.run("parallel_cases.distilled_gradient", path=str(small_run), overrides=list(chosen))[0]
    for stage in (0, 3):
        config = Path(__file__).with_name("ds_configs") / f"zero{stage}.json"
        found = two.run("gradient", path=str(small_run), overrides=[*chosen, f"runtime.deepspeed={config}"])[0]
        assert apart(found, expected, 2e-5, relative=1e-3) == [], stage


def test_distil_of_weight_0_is_plain_training_and_goes_on_after_a_stop(
    two: Group, small_run: Path, teacher: Path, tmp_path: Path
) -> None:
    runs = [("plain", [], None), ("zero", [from_teacher(teacher, 0)], None)]
    half = [from_teacher(teacher, 0.5)]
    runs += [("whole", half, None), ("stopped", half, 1), ("stopped", half, None)]
    for name, more, stop_at in runs:
        two.run("whole_run", path=str(small_run), overrides=options(tmp_path / name, 2, *more), stop_at=stop_at)
    assert same_models(tmp_path / "plain", tmp_path / "zero")
    assert same_models(tmp_path / "whole", tmp_path / "stopped")
    assert not same_models(tmp_path / "plain", tmp_path / "whole")
    trained = json.loads((tmp_path / "whole" / "model" / "trained_on.json").read_text())
    assert [one["run"] for one in trained] == ["teacher", "small"], "what the teacher was trained on is behind the student too"
    cache = Path(yaml.safe_load(small_run.read_text())["data"]["cache"])
    shards = {path: path.stat().st_mtime_ns for path in cache.glob("teacher-cldr-topic-*/shard-*.npy")}
    assert len(shards) == 2, "one for each language, for all of these runs"
