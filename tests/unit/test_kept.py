"""What a stopped evaluation keeps comes back as it was, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from xdist.evaluation.kept import drop_other_ranks, read_kept, remove_kept, write_kept

NOTHING = ({}, (0, 0.0))
FOUND = {
    (0, 3): np.int64(2),
    (0, 5): np.int64(7),
    (1, 0): np.array([1, 2, 3], np.int16),
    (1, 1): np.array([], np.int16),
    (1, 2): np.array([4], np.int16),
    (2, 9): np.arange(6, dtype=np.float64).reshape(2, 3),
    (2, 8): np.zeros((0, 3)),
}


def test_all_ranks_parts_come_back(tmp_path: Path) -> None:
    parts = [{key: FOUND[key] for key in list(FOUND)[rank::2]} for rank in range(2)]
    for rank, part in enumerate(parts):
        write_kept(tmp_path / "kept", "xnli", rank, "made of this", part, (rank + 1, 0.5))
    write_kept(tmp_path / "kept", "pawsx", 0, "made of this", {})
    found, cost = read_kept(tmp_path / "kept", "xnli", "made of this")
    assert cost == (3, 1.0)
    assert found.keys() == FOUND.keys()
    for key, value in FOUND.items():
        assert found[key].dtype == value.dtype
        assert found[key].shape == value.shape
        assert (found[key] == value).all()
    assert read_kept(tmp_path / "kept", "pawsx", "made of this") == NOTHING
    assert read_kept(tmp_path / "kept", "xnli", "made of something else") == NOTHING
    remove_kept(tmp_path / "kept", "xnli")
    assert read_kept(tmp_path / "kept", "xnli", "made of this") == NOTHING
    remove_kept(tmp_path / "kept", "pawsx")
    assert not (tmp_path / "kept").exists()
    remove_kept(tmp_path / "kept", "pawsx")


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all", None])
def test_what_is_damaged_is_predicted_again(tmp_path: Path, content: bytes | None) -> None:
    write_kept(tmp_path, "xnli", 0, "this", FOUND)
    file = tmp_path / "xnli-0.npz"
    file.write_bytes(file.read_bytes()[:-200] if content is None else content)
    write_kept(tmp_path, "xnli", 1, "this", {(5, 5): np.int64(1)})
    assert read_kept(tmp_path, "xnli", "this") == ({(5, 5): 1}, (0, 0.0))


def test_a_stop_on_fewer_ranks_leaves_no_files_of_others(tmp_path: Path) -> None:
    for rank in range(3):
        write_kept(tmp_path, "xnli", rank, "this", {(0, rank): np.int64(rank)}, (1, 1.0))
    drop_other_ranks(tmp_path, "xnli", 2)
    assert read_kept(tmp_path, "xnli", "this") == ({(0, 0): 0, (0, 1): 1}, (2, 2.0))
