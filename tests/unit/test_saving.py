"""What a host has room for, and what stays of a run that is finished."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from xdist.checkpoint import tags
from xdist.checkpoint.host import HostMemory, free_memory, size_of
from xdist.checkpoint.state_shards import StateShards, write_shard
from xdist.errors import UserError
from xdist.export.weights import of_model
from xdist.resolve.leaving import is_left, leave
from xdist.run.folder import RunFolder


def machine(folder: Path, available: int, membership: str) -> Path:
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:  {available} kB\n")
    (folder / "self/cgroup").write_text(membership)
    return folder


def group(folder: Path, **values: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_free_memory_is_that_of_the_machine_or_of_what_was_given(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path / "proc", 1000, "0::/job/step\n"), tmp_path / "groups"
    assert free_memory(proc, groups) == 1_024_000
    group(groups / "job/step", memory__max="max", memory__current=5, memory__stat="inactive_file 0")
    assert free_memory(proc, groups) == 1_024_000
    # The limit of a group holds for those in it; files that it can read again are free.
    group(groups / "job", memory__max=900_000, memory__current=500_000, memory__stat="anon 1\ninactive_file 100000")
    assert free_memory(proc, groups) == 500_000
    group(groups / "job/step", memory__max=300_000, memory__current=400_000, memory__stat="inactive_file 0")
    assert free_memory(proc, groups) == 0


def test_free_memory_under_the_first_version_of_groups(tmp_path: Path) -> None:
    proc = machine(tmp_path / "proc", 1000, "4:cpu,cpuacct:/x\n2:memory:/docker/abc\n1:name=systemd:/\n")
    named = {"memory__limit_in_bytes": 700_000, "memory__usage_in_bytes": 500_000, "memory__stat": "total_inactive_file 1000"}
    group(tmp_path / "groups/memory", **named)  # within the container only the top is seen
    assert free_memory(proc, tmp_path / "groups") == 201_000


def test_a_copy_has_the_same_views_and_no_later_values(tmp_path: Path) -> None:
    flat = torch.arange(1000.0)
    state = {"flat": flat, "view": flat[10:20].view(2, 5), "again": flat, "steps": [1, 2], "one": torch.tensor(3)}
    memory = HostMemory(pinned=False)
    copied = memory.copy(state)
    assert memory.bytes == size_of(state) == 4000 + 8
    flat.zero_()
    state["steps"].append(3)
    found = copied.state()
    assert found["steps"] == [1, 2]
    assert torch.equal(found["view"], torch.arange(10.0, 20.0).view(2, 5))
    assert found["again"] is found["flat"]
    assert found["view"].untyped_storage().data_ptr() == found["flat"].untyped_storage().data_ptr()
    memory.reuse()
    memory.copy(state)
    assert memory.bytes == 4008


def test_what_is_written_into_a_folder_that_was_removed_goes_nowhere(tmp_path: Path) -> None:
    """As by the thread of a start that has heard too late that it is over."""
    memory, place = HostMemory(pinned=False), tmp_path / "saving"
    place.mkdir()
    shards = StateShards(memory)
    shards.open(place)
    shards.take({"weights": torch.ones(3)}, str(place / "shard.pt"))
    place.rmdir()
    place.mkdir()  # by the next start
    shards.write()
    assert shards.problem == "rank 0: No such file or directory (shard.pt)"
    assert not list(place.iterdir())


def test_a_shard_that_is_given_up_ends_half_way(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="given up"):
        write_shard({"weights": torch.ones(3)}, tmp_path / "shard.pt", go_on=lambda: False)


def finished(folder: Path, gold: bool) -> tuple[RunFolder, list[Any]]:
    """A run's folder with a checkpoint, a model and scores of one subset, which has gold or not."""
    run = RunFolder(folder)
    shard = run.checkpoints / tags.SAVING / "shard.pt"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"states")
    tags.finish_tag(run.checkpoints, 5, 1, 0, {"shard.pt": {"size": 6, "sha256": tags.checksum(shard)}})
    run.model.mkdir()
    (run.model / "model.safetensors").write_bytes(b"weights")
    numbers = {"accuracy": 50.0, "count": 2} if gold else {"count": 2}
    entry = {
        "split": "test",
        "family": "classification",
        "metric": "accuracy",
        "trained_on": [],
        "mean": {},
        "languages": {"en": numbers},
    }
    run.scores.write_text(json.dumps({"run": "run", "tasks": {"xnli": entry}}))
    run.mark("finished")
    from xdist.tasks.catalog import task

    return run, [SimpleNamespace(task=task("xnli"), split="test", language="en")]


@pytest.mark.parametrize(
    "keep, gold, stays",
    [
        ("states", True, {"checkpoints", "model"}),
        ("model", True, {"model"}),
        ("scores", True, set()),
        ("scores", False, {"model"}),  # gold may come
    ],
)
def test_what_stays_of_a_finished_run(tmp_path: Path, keep: Any, gold: bool, stays: set[str]) -> None:
    run, scored = finished(tmp_path / "run", gold)
    assert is_left(run, keep) == (keep == "states")
    freed = leave(run, keep, "run", scored)
    assert {path.name for path in run.path.iterdir()} == stays | {"scores.json", "finished"}
    assert (freed > 0) == (keep != "states")
    assert is_left(run, keep) == (gold or keep != "scores")
    if "model" not in stays:
        with pytest.raises(UserError, match="its model was not kept once it was scored"):
            of_model(run.model)
    assert leave(run, keep, "run", scored) == 0


def test_a_model_without_any_score_is_all_there_is(tmp_path: Path) -> None:
    run, _ = finished(tmp_path / "run", gold=True)
    leave(run, "scores", "run", ())
    assert run.model.is_dir()


def test_a_damaged_checkpoint_is_told_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run, scored = finished(tmp_path / "run", gold=True)
    (run.checkpoints / "step-00000005" / "shard.pt").write_bytes(b"States")
    assert leave(run, "weights", "run", scored) == 0
    assert "step-00000005 is damaged: shard.pt has changed since it was written" in caplog.text
    assert tags.list_tags(run.checkpoints)[0].has_states
