"""The best model on dev is kept: for any ranks that evaluate, however often the run was interrupted, by score or by loss."""

import json
from pathlib import Path

import pytest
import torch
from distributed.group import Group
from safetensors.torch import load_file

from xdist.tasks.catalog.demo import TOPICS

ERROR_RATE = Path(__file__).parents[1] / "third_party/error_rate.py"
STAGES = Path(__file__).with_name("ds_configs")
SELECTING = ["train.steps=8", "train.learning_rate=2e-2", "train.select={every: 2}", "runtime.save_every=3"]


def overrides(folder: Path, stage: int) -> list[str]:
    return [*SELECTING, f"folder={folder}", f"runtime.deepspeed={STAGES / f'zero{stage}.json'}"]


@pytest.mark.parametrize("stage", [2, 3])
def test_the_best_model_is_kept_over_an_interruption(two: Group, small_run: Path, tmp_path: Path, stage: int) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert two.run("whole_run", path=str(small_run), overrides=overrides(whole, stage))[0]["finished"]
    logged = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    values = {line["step"]: line["dev/value"] for line in logged if "dev/value" in line}
    assert list(values) == [2, 4, 6, 8]
    assert len(set(values.values())) > 1
    best = max(values, key=lambda step: (values[step], -step))
    assert json.loads((whole / "model" / "selected.json").read_text()) == {"step": best, "value": values[best]}
    assert not (whole / "best").exists()

    dev = ["evaluate={tasks: [cldr-topic], split: dev, languages: [en]}"]
    two.run("evaluate_copy", path=str(small_run), overrides=[*dev, f"folder={tmp_path / 'dev'}"], source=str(whole / "model"))
    scores = json.loads((tmp_path / "dev" / "scores.json").read_text())["tasks"]["cldr-topic"]
    assert scores["mean"]["accuracy"] == values[best]

    assert not two.run("whole_run", path=str(small_run), overrides=overrides(parts, stage), stop_at=4)[0]["finished"]
    assert (parts / "best" / "selected.json").exists()
    assert two.run("whole_run", path=str(small_run), overrides=overrides(parts, stage))[0]["finished"]
    assert (parts / "model" / "selected.json").read_text() == (whole / "model" / "selected.json").read_text()
    expected, found = (load_file(folder / "model" / "model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("by", ["score", "loss"])
def test_the_value_does_not_depend_on_ranks(one: Group, two: Group, small_run: Path, by: str) -> None:
    options = [f"train.select={{every: 1, by: {by}, languages: [en, de]}}", "runtime.eval_batch_tokens=64"]
    (expected,) = one.run("judged", path=str(small_run), overrides=options)
    stage3 = [*options, f"runtime.deepspeed={STAGES / 'zero3.json'}"]
    for group, run in ((two, options), (two, stage3)):
        assert group.run("judged", path=str(small_run), overrides=run) == pytest.approx([expected] * 2, abs=1e-5)


def test_where_less_is_better_less_is_worth_more(one: Group, small_run: Path, tmp_path: Path) -> None:
    described = {"family": "classification", "languages": ["en", "de"], "labels": list(TOPICS), "texts": 1, "head": "topic"}
    files = {split: f"cldr-topic/{split}-{{language}}.tsv" for split in ("train", "dev")}
    tasks = {"right": {**described, "files": files}, "wrong": {**described, "files": files, "metric": "error-rate"}}
    (tmp_path / "tasks.yaml").write_text(json.dumps({"tasks": tasks}))
    options = ["train.select={every: 1, languages: [en, de]}", f"data.tasks={tmp_path / 'tasks.yaml'}", "seed=3"]
    options += [f"plugins=[{ERROR_RATE}]"]
    right, wrong = (
        one.run("judged", path=str(small_run), overrides=[*options, f"train.tasks=[{{task: {name}}}]"])[0] for name in tasks
    )
    assert 0 < right < 100
    assert wrong == pytest.approx(right - 100)


def test_stage_3_evaluates_in_lockstep(two: Group, small_run: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "zero2", tmp_path / "zero3"
    run = ["evaluate={tasks: [cldr-topic, cldr-names], layer: 1}", "train.steps=2", "runtime.eval_batch_tokens=150"]
    assert two.run("whole_run", path=str(small_run), overrides=[*run, f"folder={first}"])[0]["finished"]
    stage3 = [*run, f"folder={again}", f"runtime.deepspeed={STAGES / 'zero3.json'}"]
    two.run("evaluate_copy", path=str(small_run), overrides=stage3, source=str(first / "model"))
    files = sorted(path.relative_to(first / "predictions") for path in (first / "predictions").rglob("*.tsv"))
    assert len(files) == 5
    for file in files:
        assert (first / "predictions" / file).read_bytes() == (again / "predictions" / file).read_bytes(), file
