"""A tag is whole or does not exist, and the oldest go first."""

from pathlib import Path

import pytest

from xdist.errors import UserError
from xdist.files import write_json
from xdist.runtime.checkpoints import MANIFEST, check, prune, tags

SHARDS = {"rank0.pt": b"weights", "below/rank1.pt": b"more weights"}


def save(folder: Path, step: int, world: int = 2, stage: int = 2) -> Path:
    path = folder / f"step-{step:08d}"
    for name, content in SHARDS.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    sizes = {name: len(content) for name, content in SHARDS.items()}
    write_json(path / MANIFEST, {"step": step, "world": world, "stage": stage, "files": sizes})
    return path


def steps(folder: Path) -> list[int]:
    return [tag.step for tag in tags(folder)]


def test_oldest_first_whatever_was_written_when(tmp_path: Path) -> None:
    for step in (100000000, 5, 20):
        save(tmp_path, step)
    assert steps(tmp_path) == [5, 20, 100000000]
    assert steps(tmp_path / "nothing") == []


@pytest.mark.parametrize("damage", ["no manifest", "torn manifest", "no file", "shorter", "longer"])
def test_a_damaged_tag_does_not_exist(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 5)
    newest = save(tmp_path, 10)
    match damage:
        case "no manifest":
            (newest / MANIFEST).unlink()
        case "torn manifest":
            (newest / MANIFEST).write_text('{"step": 10, "files"')
        case "no file":
            (newest / "below" / "rank1.pt").unlink()
        case "shorter":
            (newest / "rank0.pt").write_bytes(b"weigh")
        case "longer":
            (newest / "rank0.pt").write_bytes(b"weights and")
    assert steps(tmp_path) == [5]
    found = check(tmp_path, 2, 2)
    assert found is not None
    assert found.step == 5


def test_pruning_keeps_the_last_whole_ones(tmp_path: Path) -> None:
    for step in (30, 5, 20, 10):
        save(tmp_path, step)
    (save(tmp_path, 25) / "rank0.pt").unlink()  # as a killed removal leaves it
    (tmp_path / "step-00000040").mkdir()  # as a killed save leaves it
    (tmp_path / "notes").mkdir()
    prune(tmp_path, 2)
    assert steps(tmp_path) == [20, 30]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "step-00000020", "step-00000030"]
    prune(tmp_path, 5)
    assert steps(tmp_path) == [20, 30]


@pytest.mark.parametrize("world, stage", [(1, 2), (2, 3)])
def test_another_world_or_stage_is_refused(tmp_path: Path, world: int, stage: int) -> None:
    assert check(tmp_path, world, stage) is None
    save(tmp_path, 5)
    with pytest.raises(UserError, match=f"saved by 2 ranks at ZeRO stage 2, this start has {world} at stage {stage}"):
        check(tmp_path, world, stage)
