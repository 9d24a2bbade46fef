"""Alignment by training: its gradient by hand, at every ZeRO stage and on one rank or two, and on after a stop."""

import json
from itertools import product
from pathlib import Path

import pytest
import yaml
from distributed.group import Group
from distributed.test_checkpoints import same_models
from tiny import NAMES

CONFIGS = Path(__file__).with_name("ds_configs")


@pytest.fixture(scope="module")
def parallel_run(small_run: Path) -> Path:
    """The small run on parallel text of two languages, each sentence once."""
    root = Path(yaml.safe_load(small_run.read_text())["data"]["root"])
    (root / "parallel").mkdir(exist_ok=True)
    for code, (first, second) in (("de", ("territory", "currency")), ("sw", ("language", "unit"))):
        pairs = product(NAMES[first].split()[:6], NAMES[second].split()[:6])
        lines = [f"{one} {other} {code}\tthe {other} {one}" for one, other in pairs]
        (root / "parallel" / f"{code}-en.tsv").write_text("\n".join(lines) + "\n")
    return small_run


def options(stage: int, *more: str) -> list[str]:
    tasks = "train.tasks=[{task: parallel, languages: [de, sw]}]"
    return [f"runtime.deepspeed={CONFIGS / f'zero{stage}.json'}", tasks, "train.negatives=5", "train.batch_size=12", *more]


@pytest.mark.parametrize("loss", ["infonce", "l2"])
def test_infonce_and_l2_have_the_gradient_of_a_plain_loop(one: Group, two: Group, parallel_run: Path, loss: str) -> None:
    chosen = (f"train.parallel.loss={loss}", "model.vocabulary=full")
    expected = one.run("parallel_cases.plain_gradient", path=str(parallel_run), overrides=options(0, *chosen))[0]
    for stage in (0, 3):
        found = two.run("gradient", path=str(parallel_run), overrides=options(stage, *chosen))[0]
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=2e-5, rel=1e-3), (stage, name)


def test_infonce_is_the_same_on_any_ranks_and_stage(one: Group, two: Group, parallel_run: Path) -> None:
    """With an anchor, which holds from the second step on, and at a middle layer."""
    more = ("train.parallel={anchor: 0.5, layer: 1}", "train.learning_rate=1e-3")
    runs = [
        group.run("losses", path=str(parallel_run), overrides=options(stage, *more), steps=4)[0]["loss"]
        for group, stage in ((one, 0), (two, 0), (two, 2), (two, 3))
    ]
    for other in runs[1:]:
        assert other == pytest.approx(runs[0], rel=1e-4)
    free = one.run("losses", path=str(parallel_run), overrides=options(0, "train.parallel={anchor: 0, layer: 1}"), steps=4)[0]
    assert free["loss"][0] == pytest.approx(runs[0][0], rel=1e-5), "nothing has moved yet"
    assert free["loss"][3] != pytest.approx(runs[0][3], rel=1e-4)


@pytest.mark.parametrize("stage", [2, 3])
def test_infonce_beside_a_task_goes_on_after_a_stop(two: Group, parallel_run: Path, tmp_path: Path, stage: int) -> None:
    """To the bit, the anchor too: it is what training began with, whenever it goes on."""
    tasks = "train.tasks=[{task: cldr-topic, weight: 4}, {task: parallel, languages: [de, sw], weight: 1}]"
    more = ("train.steps=5", "runtime.save_every=1", "runtime.log_every=1", tasks)
    for name, stop_at in (("whole", None), ("stopped", 1), ("stopped", None)):
        overrides = [*options(stage), *more, f"folder={tmp_path / name}"]
        two.run("whole_run", path=str(parallel_run), overrides=overrides, stop_at=stop_at)
    assert same_models(tmp_path / "whole", tmp_path / "stopped")
    trained = json.loads((tmp_path / "whole" / "model" / "trained_on.json").read_text())
    assert [one["task"] for one in trained[-1]["tasks"]] == ["cldr-topic", "parallel"]
