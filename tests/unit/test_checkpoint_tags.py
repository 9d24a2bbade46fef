"""A tag is complete or does not exist, its damage is named, and the oldest go first."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xdist.checkpoint import tags
from xdist.checkpoint.state_shards import write_shard
from xdist.checkpoint.tags import DAMAGED, LATEST, MANIFEST, SAVING, Tag, checksum, prune_tags

SHARDS = {"rank0.pt": b"weights", "below/rank1.pt": b"more weights", "rank2.pt": b""}


def save(folder: Path, step: int, world: int = 2, stage: int = 2) -> Path:
    files = {}
    for name, content in SHARDS.items():
        path = folder / SAVING / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files[name] = {"size": len(content), "sha256": checksum(path)}
    return tags.finish_tag(folder, step, world, stage, files).path


def steps(folder: Path) -> list[int]:
    return [tag.step for tag in tags.list_tags(folder)]


def read(path: Path) -> Tag:
    tag = tags.read_tag(path)
    assert tag is not None
    return tag


def test_oldest_first_whatever_was_written_when(tmp_path: Path) -> None:
    for step in (100000000, 5, 20):
        path = save(tmp_path, step)
        assert (tmp_path / LATEST).read_text() == path.name
    assert steps(tmp_path) == [5, 20, 100000000]
    assert steps(tmp_path / "nothing") == []
    assert not (tmp_path / SAVING).exists()
    tag = read(tmp_path / "step-00000005")
    assert (tag.world, tag.stage, tag.bytes) == (2, 2, sum(map(len, SHARDS.values())))


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 5, stage=1)
    save(tmp_path, 5, stage=3)
    assert [tag.stage for tag in tags.list_tags(tmp_path)] == [3]


@pytest.mark.parametrize("damage", ["none", "torn", "flipped", "no digest", "not an object", "other step"])
def test_without_a_valid_manifest_there_is_no_tag(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 5)
    newest = save(tmp_path, 10)
    manifest = newest / MANIFEST
    match damage:
        case "none":
            manifest.unlink()
        case "torn":
            manifest.write_text(manifest.read_text()[:-20])
        case "flipped":
            manifest.write_text(manifest.read_text().replace('"world": 2', '"world": 3'))
        case "no digest":
            manifest.write_text('{"step": 10, "world": 2, "stage": 2, "files": {}}')
        case "not an object":
            manifest.write_text("[]")
        case "other step":
            newest.rename(tmp_path / "step-00000011")
    assert steps(tmp_path) == [5]


@pytest.mark.parametrize(
    "change, said, cheap",
    [
        (None, "below/rank1.pt is missing", True),
        (b"more weigh", "below/rank1.pt has 10 bytes instead of 12", True),
        (b"more weights and", "below/rank1.pt has 16 bytes instead of 12", True),
        (b"more weightr", "below/rank1.pt has changed since it was written", False),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, change: bytes | None, said: str, cheap: bool) -> None:
    save(tmp_path, 5)
    path = save(tmp_path, 10)
    tag = read(path)
    assert (tag.damage(), tag.shrunken()) == ([], [])
    shard = path / "below" / "rank1.pt"
    shard.unlink() if change is None else shard.write_bytes(change)
    assert tag.damage() == [said]
    assert tag.shrunken() == ([said] if cheap else [])
    good = tags.last_good_tag(tmp_path)
    assert good is not None
    assert good.step == (5 if cheap else 10)


@given(sizes=st.lists(st.integers(0, 50), max_size=8), world=st.integers(1, 9))
def test_ranks_share_the_reading(sizes: list[int], world: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = {f"shard{i}": {"size": size, "sha256": ""} for i, size in enumerate(sizes)}
    tag = Tag(tmp_path_factory.getbasetemp() / "no such tag", {"files": files})
    named = [[line.split()[0] for line in tag.damage(rank, world)] for rank in range(world)]
    assert sorted(name for share in named for name in share) == sorted(files)
    loads = [sum(files[name]["size"] for name in share) for share in named]
    assert max(loads) - min(loads) <= max(sizes, default=0) + len(sizes)


def test_pruning_keeps_the_last_whole_ones(tmp_path: Path) -> None:
    for step in (30, 5, 20, 10):
        save(tmp_path, step)
    (save(tmp_path, 25) / "rank0.pt").unlink()  # as a killed removal leaves it
    tags.set_tag_aside(read(save(tmp_path, 28)))
    (tmp_path / "step-00000040").mkdir()  # as a killed removal may leave it, too
    (tmp_path / SAVING).mkdir()  # as a killed save leaves it
    (tmp_path / "notes").mkdir()
    assert len(prune_tags(tmp_path, 2)) == 6
    assert steps(tmp_path) == [20, 30]
    kept = ["latest", "notes", "step-00000020", "step-00000030"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert prune_tags(tmp_path, 5) == []


def test_a_tag_set_aside_does_not_exist(tmp_path: Path) -> None:
    for _ in range(2):
        tags.set_tag_aside(read(save(tmp_path, 5)))
    assert steps(tmp_path) == []
    assert [path.name for path in tags.tag_folders(tmp_path)] == [f"{DAMAGED}step-00000005"]


def test_a_shard_is_summed_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "shard.pt"
    state = {"weights": torch.arange(100_000.0), "step": 3}
    written = write_shard(state, path)
    assert written == {"size": path.stat().st_size, "sha256": checksum(path)}
    found = torch.load(path, weights_only=True)
    assert torch.equal(found["weights"], state["weights"])
    assert torch.load(path, mmap=True, weights_only=True)["step"] == 3
