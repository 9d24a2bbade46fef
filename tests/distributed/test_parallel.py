"""Alignment by training: its gradient by hand, at every ZeRO stage and on one rank or two, and on after a stop."""

import json
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml
from distributed.group import Group
from distributed.tensors import apart
from distributed.test_checkpoints import same_models
from safetensors.torch import load_file
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


@pytest.fixture(scope="module")
def dictionaries(parallel_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the words of that text, except for two."""
    folder = tmp_path_factory.mktemp("dictionaries")
    for code, kinds in (("de", ("territory", "currency")), ("sw", ("language", "unit"))):
        words = [word for kind in kinds for word in NAMES[kind].split()[1:6]]
        (folder / f"en-{code}.txt").write_text("".join(f"{word}\t{word}\n" for word in words))
    return folder


def by_words(dictionaries: Path, more: str = "") -> str:
    return f"train.parallel={{loss: words, dictionaries: {dictionaries}{more}}}"


def options(stage: int, *more: str) -> list[str]:
    tasks = "train.tasks=[{task: parallel, languages: [de, sw]}]"
    return [f"runtime.deepspeed={CONFIGS / f'zero{stage}.json'}", tasks, "train.negatives=5", "train.batch_size=12", *more]


@pytest.mark.parametrize("loss", ["infonce", "l2"])
def test_infonce_and_l2_have_the_gradient_of_a_plain_loop(one: Group, two: Group, parallel_run: Path, loss: str) -> None:
    chosen = (f"train.parallel.loss={loss}", "model.vocabulary=full")
    expected = one.run("parallel_cases.plain_gradient", path=str(parallel_run), overrides=options(0, *chosen))[0]
    for stage in (0, 3):
        found = two.run("gradient", path=str(parallel_run), overrides=options(stage, *chosen))[0]
        assert apart(found, expected, 2e-5, relative=1e-3) == [], stage


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
    """To the bit, the anchor too: it is what training began with, whenever it continues."""
    tasks = "train.tasks=[{task: cldr-topic, weight: 4}, {task: parallel, languages: [de, sw], weight: 1}]"
    more = ("train.steps=5", "runtime.save_every=1", "runtime.log_every=1", tasks)
    for name, stop_at in (("whole", None), ("stopped", 1), ("stopped", None)):
        overrides = [*options(stage), *more, f"folder={tmp_path / name}"]
        two.run("whole_run", path=str(parallel_run), overrides=overrides, stop_at=stop_at)
    assert same_models(tmp_path / "whole", tmp_path / "stopped")
    trained = json.loads((tmp_path / "whole" / "model" / "trained_on.json").read_text())
    assert [one["task"] for one in trained[-1]["tasks"]] == ["cldr-topic", "parallel"]


def test_infonce_of_words_has_the_gradient_of_a_plain_loop(
    one: Group, two: Group, parallel_run: Path, dictionaries: Path
) -> None:
    """Of a dictionary's words; with the lower layer frozen what is left has the same."""
    chosen = (by_words(dictionaries), "model.vocabulary=full")
    expected = one.run("parallel_cases.realigned_gradient", path=str(parallel_run), overrides=options(0, *chosen))[0]
    for stage, frozen in ((0, 0), (3, 0), (0, 1), (1, 1), (2, 1), (3, 1)):
        overrides = options(stage, *chosen, *([f"model.frozen_layers={frozen}"] if frozen else []))
        found = two.run("gradient", path=str(parallel_run), overrides=overrides)[0]
        still = {name for name in expected if frozen and ("layer.0" in name or "embeddings" in name)}
        wanted = {name: torch.zeros_like(value) if name in still else value for name, value in expected.items()}
        assert apart(found, wanted, 2e-5, relative=1e-3) == [], stage


@pytest.mark.parametrize("stage", [2, 3])
def test_infonce_of_words_goes_on_after_a_stop_and_of_strength_0_changes_nothing(
    two: Group, parallel_run: Path, dictionaries: Path, tmp_path: Path, stage: int
) -> None:
    """To the bit, on layers that stay as they are and on those that do not."""
    more = ("train.steps=4", "runtime.save_every=1", "model.frozen_layers=1", "train.weight_decay=0")
    runs = [("whole", "", None), ("stopped", "", 1), ("stopped", "", None), ("still", ", strength: 0", None)]
    for name, values, stop_at in runs:
        overrides = [*options(stage, by_words(dictionaries, values)), *more, f"folder={tmp_path / name}"]
        two.run("whole_run", path=str(parallel_run), overrides=overrides, stop_at=stop_at)
    assert same_models(tmp_path / "whole", tmp_path / "stopped")
    began = load_file(Path(yaml.safe_load(parallel_run.read_text())["model"]["backbone"]) / "model.safetensors")
    still, moved = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("still", "whole"))
    assert all(torch.equal(value, began[name]) for name, value in still.items())
    changed = {name for name, value in moved.items() if not torch.equal(value, began[name])}
    assert changed
    assert not any("layer.0" in name or "embeddings" in name for name in changed)
