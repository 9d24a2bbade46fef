"""Files and folders that are complete or absent."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from xdist.files import digest, file_digest, read_json, write_json, write_text, written, written_folder


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_file_is_there_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "below" / "file.txt"
    with written(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_breaks_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    (tmp_path / "folder").mkdir()
    write_text(tmp_path / "folder" / "inside", "old")

    def break_off(file: bool) -> None:
        if file:
            with written(tmp_path / "file") as temporary:
                temporary.write_text("half")
                raise ZeroDivisionError
        with written_folder(tmp_path / "folder") as temporary:
            (temporary / "inside").write_text("half")
            raise ZeroDivisionError

    for file in (True, False):
        with pytest.raises(ZeroDivisionError):
            break_off(file)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "inside").read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_replaces_the_older_one(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with written_folder(tmp_path / "folder") as temporary:
            (temporary / text).write_text(text)
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["second"]


def test_permissions_follow_the_umask(tmp_path: Path, umask: None) -> None:
    write_text(tmp_path / "file", "")
    with written_folder(tmp_path / "folder") as temporary:
        (temporary / "inner").mkdir(mode=0o700)
        os.close(os.open(temporary / "inner" / "private", os.O_CREAT, 0o600))
    modes = [stat.S_IMODE(entry.stat().st_mode) for entry in sorted(tmp_path.rglob("*"))]
    assert modes == [0o640, 0o750, 0o750, 0o640]  # file, folder, folder/inner, folder/inner/private


def test_json_keeps_text_and_order(tmp_path: Path) -> None:
    value = {"b": ["ż", 1.5, None], "a": {}}
    write_json(tmp_path / "value.json", value)
    assert list(read_json(tmp_path / "value.json").items()) == list(value.items())
    assert "ż" in (tmp_path / "value.json").read_text(encoding="utf-8")


def test_digests_depend_on_everything(tmp_path: Path) -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len({digest(1), digest("1"), digest([1]), digest(1, 1), digest({"a": 1}), digest()}) == 6
    (tmp_path / "file").write_bytes(b"abc")
    assert file_digest(tmp_path / "file") == "ba7816bf8f01cfea"  # SHA-256 of 'abc' (FIPS 180-2), the first 16 digits
