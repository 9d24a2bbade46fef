"""Saves that fail on a rank, and checkpoints that were damaged."""

from pathlib import Path

import pytest
import torch
from distributed.group import Group
from safetensors.torch import load_file

from xdist.checkpoint import tags
from xdist.checkpoint.stripped import strip_tags

SAVING = ["train.steps=5", "runtime.save_every=1", "runtime.log_every=1", "runtime.keep=3"]


def options(folder: Path, stage: int, *more: str) -> list[str]:
    config = Path(__file__).with_name("ds_configs") / f"zero{stage}.json"
    return [*SAVING, f"folder={folder}", f"runtime.deepspeed={config}", *more]


def same_models(one: Path, other: Path) -> bool:
    for name in ("model.safetensors", "heads.safetensors"):
        expected, found = load_file(one / "model" / name), load_file(other / "model" / name)
        if expected.keys() != found.keys() or not all(torch.equal(expected[key], found[key]) for key in expected):
            return False
    return True


@pytest.fixture(scope="module")
def uninterrupted(two: Group, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert two.run("whole_run", path=str(small_run), overrides=options(folder, 2))[0]["finished"]
    return folder


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("stage, rank, writable", [(2, 1, 1000), (2, 0, 1000), (3, 1, 1000), (0, 0, 200_000)])
def test_a_save_that_fails_on_one_rank_costs_one_checkpoint(
    two: Group, small_run: Path, tmp_path: Path, stage: int, rank: int, writable: int, how: str
) -> None:
    limited = {"rank": rank, "writable": writable, "saves": [1, 2]}
    chosen = options(tmp_path / "run", stage, f"runtime.save={how}")
    ends = two.run("run_in_want_of_room", path=str(small_run), overrides=chosen, **limited)
    assert ends == [{"finished": True, "error": ""}] * 2
    checkpoints = tmp_path / "run" / "checkpoints"
    assert [tag.step for tag in tags.list_tags(checkpoints)] == [1, 4, 5]
    assert [tag.damage() for tag in tags.list_tags(checkpoints)] == [[]] * 3
    assert not (checkpoints / tags.SAVING).exists()


@pytest.mark.parametrize("how", ["sync", "async"])
def test_three_failures_in_a_row_end_the_run(
    two: Group, small_run: Path, tmp_path: Path, uninterrupted: Path, how: str
) -> None:
    run = tmp_path / "run"
    limited = {"rank": 1, "writable": 1000, "saves": [1, 2, 3]}
    chosen = options(run, 2, f"runtime.save={how}")
    ends = two.run("run_in_want_of_room", path=str(small_run), overrides=chosen, **limited)
    assert ends[0] == ends[1]
    assert ends[0]["error"].startswith("step 4 could not be saved (3 times in a row): rank 1: File too large (")
    assert f"the last good checkpoint is {run / 'checkpoints' / 'step-00000001'}" in ends[0]["error"]
    assert two.run("whole_run", path=str(small_run), overrides=options(run, 2))[0]["finished"]
    assert same_models(run, uninterrupted)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "manifest"])
def test_the_checkpoint_before_a_damaged_one_is_used(
    two: Group, small_run: Path, tmp_path: Path, uninterrupted: Path, damage: str
) -> None:
    run = tmp_path / "run"
    two.run("whole_run", path=str(small_run), overrides=options(run, 2), stop_at=1)
    newest = tags.list_tags(run / "checkpoints")[-1]
    assert newest.step == 3
    shard = newest.path / "zero_pp_rank_1_mp_rank_00_optim_states.pt"
    content = bytearray(shard.read_bytes())
    match damage:
        case "flip":
            content[len(content) // 2] ^= 1
            shard.write_bytes(content)
        case "cut":
            shard.write_bytes(content[:-1])
        case "remove":
            shard.unlink()
        case "manifest":
            (newest.path / tags.MANIFEST).write_bytes(content[:100])
    assert two.run("whole_run", path=str(small_run), overrides=options(run, 2))[0]["finished"]
    assert same_models(run, uninterrupted)
    assert [path.name for path in tags.tag_folders(run / "checkpoints")] == [f"step-{step:08d}" for step in (3, 4, 5)]


def test_nothing_whole_among_several_is_refused(two: Group, small_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    two.run("whole_run", path=str(small_run), overrides=options(run, 2), stop_at=2)
    for tag in tags.list_tags(run / "checkpoints"):
        (tag.path / "mp_rank_00_model_states.pt").unlink()
    with pytest.raises(AssertionError, match="none of the 3 checkpoints is intact"):
        two.run("whole_run", path=str(small_run), overrides=options(run, 2))


def test_saving_by_the_clock(two: Group, small_run: Path, tmp_path: Path) -> None:
    clock = ["runtime.save_every=1000", "runtime.save_minutes=1e-9", "runtime.keep=9"]
    assert two.run("whole_run", path=str(small_run), overrides=options(tmp_path / "run", 2, *clock))[0]["finished"]
    assert [tag.step for tag in tags.list_tags(tmp_path / "run" / "checkpoints")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_rates_by_layer_go_on_after_a_stop(two: Group, small_run: Path, tmp_path: Path, stage: int) -> None:
    """Many groups of parameters, each with its own rate, along half a cosine."""
    more = ("train.layer_decay=0.7", "train.decay=cosine", "train.betas=[0.8, 0.95]", "train.warmup=1")
    for name, stop_at in (("whole", None), ("stopped", 1), ("stopped", None)):
        two.run("whole_run", path=str(small_run), overrides=options(tmp_path / name, stage, *more), stop_at=stop_at)
    assert same_models(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(
    "stage, more",
    [(0, []), (1, ["runtime.precision=bf16"]), (2, []), (2, ["runtime.precision=bf16"]), (3, [])],
    ids=["zero0", "zero1-bf16", "zero2", "zero2-bf16", "zero3"],
)
def test_what_is_written_later_is_what_was_copied(
    two: Group, small_run: Path, tmp_path: Path, stage: int, more: list[str]
) -> None:
    chosen = options(tmp_path / "run", stage, *more)
    for found in two.run("saving_cases.copied", path=str(small_run), overrides=chosen, folder=str(tmp_path)):
        assert found["busy"]
        assert found["differing"] == []
        assert found["grown"] == 0  # the second save's copies are where the first one's were
        assert (found["steps"], found["damage"]) == ([3], [[]])
        assert 0.8 < found["foretold"] < 1.05  # what is written besides states are names, sizes and DeepSpeed's settings


@pytest.mark.parametrize("quick, newest", [(0, 2), (1e9, 4)])
def test_a_stop_waits_for_the_save_under_way(
    two: Group, small_run: Path, tmp_path: Path, uninterrupted: Path, quick: float, newest: int
) -> None:
    run = tmp_path / "run"
    chosen = options(run, 2, "runtime.save=async", "runtime.save_every=2")
    ended = two.run("saving_cases.stopped_while_it_writes", path=str(small_run), overrides=chosen, slow=1.5, quick=quick)
    assert not ended[0]["finished"]
    assert [tag.step for tag in tags.list_tags(run / "checkpoints")] == sorted({2, newest})
    assert [tag.damage() for tag in tags.list_tags(run / "checkpoints")] == [[]] * len({2, newest})
    freed = list(strip_tags(run / "checkpoints", all_done=False))  # the newest stays as it is
    assert [tag.step for tag, _ in freed] == ([2] if newest > 2 else [])
    assert two.run("whole_run", path=str(small_run), overrides=chosen)[0]["finished"]
    assert same_models(run, uninterrupted)
