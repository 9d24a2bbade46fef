"""Prepared rows come back as they were written, from several files, without a copy."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from xdist.data.shards import MANIFEST, Journal, Shards, write_shard
from xdist.errors import UserError

SCHEMA = pa.schema(
    [("tokens", pa.list_(pa.int32())), ("lengths", pa.list_(pa.int32())), ("cut", pa.int32()), ("label", pa.int16())]
)


def rows(count: int) -> list[dict[str, Any]]:
    made = []
    for number in range(count):
        tokens = list(range(number, 2 * number + 1))
        made.append({"tokens": tokens, "lengths": [len(tokens)], "cut": 3 * (number % 2), "label": number - 1})
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten rows in shards of three."""
    written(tmp_path / "set", [rows(10)[low : low + 3] for low in range(0, 10, 3)])
    return tmp_path / "set"


def written(folder: Path, parts: list[list[dict[str, Any]]]) -> None:
    folder.mkdir()
    journal = Journal(folder)
    for number, part in enumerate(parts):
        journal.add(write_shard(folder, number, part, SCHEMA))
    journal.add({"units": len(parts)})
    assert journal.finish({"task": "xnli"})


def test_rows_and_columns_over_several_shards(folder: Path) -> None:
    found = Shards(folder)
    assert len(list(folder.glob("shard-*"))) == 4
    assert len(found) == 10
    for number, row in enumerate(rows(10)):
        assert {name: np.asarray(value).tolist() for name, value in found.row(number).items()} == row
    assert found.column("label").tolist() == [row["label"] for row in rows(10)]
    assert found.list_column("tokens").tolist() == [token for row in rows(10) for token in row["tokens"]]
    assert found.tokens.tolist() == list(range(1, 11))
    assert [found.length(number) for number in range(10)] == list(range(1, 11))
    assert found.mean_tokens == 5.5


def test_the_manifest_counts(folder: Path) -> None:
    manifest = Shards(folder).manifest
    assert {key: manifest[key] for key in ("task", "rows", "tokens", "cut", "cut_rows")} == {
        "task": "xnli",
        "rows": 10,
        "tokens": 55,
        "cut": 15,
        "cut_rows": 5,
    }
    assert [shard["rows"] for shard in manifest["shards"]] == [3, 3, 3, 1]
    assert manifest["lengths"] == {"32": 10}
    assert not list(folder.glob("journal*"))


def test_a_journal_knows_what_is_whole(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, (1, 2)), Journal(tmp_path, (2, 2))
    first.add(write_shard(tmp_path, 0, rows(3), SCHEMA))
    second.add(write_shard(tmp_path, 1, rows(2), SCHEMA))
    second.add({"units": 3})
    with second.path.open("a") as file:
        file.write('{"number": 2, "file": "shard-0')  # killed while it wrote
    again = Journal(tmp_path)
    assert sorted(again.done) == [0, 1]
    assert not again.finish({})
    (tmp_path / "shard-00000.arrow").write_bytes(b"cut")
    assert sorted(Journal(tmp_path).done) == [1]
    second.add(write_shard(tmp_path, 2, rows(1), SCHEMA))  # the torn line does not take the next one with it
    assert sorted(Journal(tmp_path).done) == [1, 2]


def test_rows_are_views_of_the_file(folder: Path) -> None:
    found = Shards(folder)
    before = pa.total_allocated_bytes()
    tokens = found.row(7)["tokens"]
    assert pa.total_allocated_bytes() == before
    assert np.shares_memory(tokens, found.row(7)["tokens"])
    assert not tokens.flags.owndata
    assert not tokens.flags.writeable


def test_files_are_opened_when_asked_for(folder: Path) -> None:
    found = Shards(folder)
    (folder / "shard-00003.arrow").unlink()
    assert found.row(8)["label"] == 7
    with pytest.raises(UserError, match="shard-00003"):
        found.row(9)


def test_without_a_manifest_there_is_no_set(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    with pytest.raises(UserError, match="not prepared"):
        Shards(folder)


def test_writing_that_breaks_leaves_no_manifest(tmp_path: Path) -> None:
    def broken() -> Any:
        yield from rows(2)
        raise UserError("file.tsv:3: bad label")

    with pytest.raises(UserError, match="bad label"):
        write_shard(tmp_path, 0, broken(), SCHEMA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_shard_is_named(folder: Path, share: float) -> None:
    shard = folder / "shard-00001.arrow"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: int(len(whole) * share)])
    found = Shards(folder)
    assert found.row(0)["label"] == -1
    with pytest.raises(UserError, match=r"shard-00001\.arrow: damaged or missing shard"):
        found.row(3)


def test_a_set_without_rows(tmp_path: Path) -> None:
    written(tmp_path / "set", [])
    found = Shards(tmp_path / "set")
    assert len(found) == len(found.tokens) == len(found.column("label")) == len(found.list_column("tokens")) == 0
