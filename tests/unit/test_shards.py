"""Prepared rows come back as they were written, from several files, without a copy."""

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from xdist.data.plan import Plan
from xdist.data.shards import MANIFEST, Journal, Shards, write_shard
from xdist.data.sums import MappedShard
from xdist.errors import OwnError, UserError
from xdist.files import file_digest

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
    assert found.column("tokens").tolist() == [token for row in rows(10) for token in row["tokens"]]
    assert found.tokens.tolist() == list(range(1, 11))
    assert [found.length(number) for number in range(10)] == list(range(1, 11))
    assert found.lengths(np.array([9, 0, 3, 3, 5, 8])).tolist() == [10, 1, 4, 4, 6, 9]
    assert found.lengths(np.array([], int)).tolist() == []
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


def big(folder: Path, count: int, parts: int = 2) -> Path:
    """A set of `count` rows of a thousand tokens in shards of several blocks."""
    made = [
        {"tokens": np.arange(number, number + 1000) % 997, "lengths": [1000], "cut": 0, "label": number % 7}
        for number in range(count)
    ]
    written(folder, [made[low : low + count // parts] for low in range(0, count, count // parts)])
    return folder


def damaged(path: Path, share: float, content: bytes = b"") -> None:
    whole = bytearray(path.read_bytes())
    place = int(len(whole) * share)
    content = content or bytes([whole[place] ^ 1])
    whole[place : place + len(content)] = content
    path.write_bytes(whole)


@pytest.mark.parametrize("content", [b"", bytes(4096)], ids=["a bit", "a page of zeros"])
def test_a_block_is_checked_when_a_row_of_it_is_read(tmp_path: Path, content: bytes) -> None:
    folder = big(tmp_path / "set", 2000)
    damaged(folder / "shard-00001.arrow", 0.5, content)
    found = Shards(folder)
    assert [found.row(number)["label"] for number in range(1000)] == [number % 7 for number in range(1000)]
    assert found.row(1000)["label"] == 1000 % 7  # the first block of the file is complete
    with pytest.raises(
        OwnError, match=r"shard-00001\.arrow: damaged shard \(rows \d+ to \d+ are not what was written\); remove "
    ) as error:
        [found.row(number) for number in range(1000, 2000)]
    low, high = map(int, re.findall(r"rows (\d+) to (\d+)", str(error.value))[0])
    assert 1 < low < 500 < high < 1000
    with pytest.raises(OwnError, match="are not what was written"):  # not once alone
        found.row(1000 + low)
    with pytest.raises(OwnError, match="are not what was written"):
        Shards(folder).column("tokens")
    with pytest.raises(UserError, match=r"shard-00001\.arrow: damaged shard"):
        Shards(folder).verify()


def test_damage_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    """A changed bit anywhere in a file is reported, or is where nothing is read (padding, words that only describe)."""
    folder = big(tmp_path / "set", 40, 1)
    shard = folder / "shard-00000.arrow"
    whole, wanted = shard.read_bytes(), [Shards(folder).row(number) for number in range(40)]
    told = 0
    draw = random.Random(1)
    places = [*range(0, 2500, 23), *draw.sample(range(len(whole)), 100), *range(len(whole) - 900, len(whole), 17)]
    for place in places:
        content = bytearray(whole)
        content[place] ^= 1 << draw.randrange(8)
        shard.write_bytes(content)
        found = Shards(folder)
        try:
            if place % 2:
                found.column("tokens")
            at_once = found.lengths(np.arange(40)).tolist() if place % 3 else [found.length(number) for number in range(40)]
            rows = list(zip(at_once, map(found.row, range(40)), strict=True))
        except UserError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
            told += 1
        else:
            for (length, row), other in zip(rows, wanted, strict=True):
                assert length == 1000
                assert all(np.array_equal(row[name], other[name]) for name in other)
        with pytest.raises(UserError):
            found.verify()
    assert told > 150


def test_what_is_read_at_a_start_does_not_grow_with_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rows nothing, and of a first batch the blocks that it is in."""
    checked = 0
    plain = MappedShard._check

    def counting(self: MappedShard, name: str, block: int) -> None:
        nonlocal checked
        checked += name == "tokens"
        plain(self, name, block)

    monkeypatch.setattr(MappedShard, "_check", counting)
    seen = []
    for count in (500, 4000):
        folder, checked = big(tmp_path / str(count), count, count // 250), 0
        found = Shards(folder)
        assert (checked, found._open) == (0, {})
        for number in Plan([len(found)], [1.0], 2, 1).step(0).row.tolist():
            assert found.length(number) == 1000
            assert checked == 0  # for a length the places of the lists are enough
        found.row(number)
        seen.append(checked)
        size = len((found.folder / MANIFEST).read_bytes())
        assert size < 800 + 400 * count // 250  # that of the manifest grows by 400 bytes for a shard of 4 MB
    assert seen == [1, 1]


def test_sets_of_earlier_versions_have_no_sums_and_are_read(folder: Path) -> None:
    wanted = Shards(folder).column("tokens").tolist()
    manifest = json.loads((folder / MANIFEST).read_text())
    for key in ("digest", "histogram"):
        manifest.pop(key)
    for facts in manifest["shards"]:
        facts.pop("summed")
        batch = pa.ipc.open_file(str(folder / facts["file"])).get_batch(0).replace_schema_metadata(None)
        with pa.OSFile(str(folder / facts["file"]), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        facts["sha256"] = file_digest(folder / facts["file"])
    (folder / MANIFEST).write_text(json.dumps(manifest))
    found = Shards(folder)
    assert found.column("tokens").tolist() == wanted
    assert [found.length(number) for number in range(10)] == list(range(1, 11))
    assert found.used().tolist() == sorted(set(wanted))
    found.verify()


MANIFESTS = {
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "a list": lambda text: "[]",
    "not UTF-8": lambda text: b"\xff" + text.encode(),
    "deep": lambda text: "[" * 100_000,
    "a number": lambda text: text.replace('"rows": 10', '"rows": 11'),
    "a name": lambda text: text.replace("shard-00002", "shard-00001"),
    "no shards": lambda text: json.dumps({key: value for key, value in json.loads(text).items() if key != "shards"}),
    "other shapes": lambda text: json.dumps({"rows": 1, "tokens": 1, "shards": [5]}),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_damaged_manifest_is_one_line(folder: Path, kind: str) -> None:
    content = MANIFESTS[kind]((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        Shards(folder)
    assert str(error.value).startswith(f"{folder}/{MANIFEST}: damaged manifest (")
    assert str(error.value).endswith(f"); remove {folder} and prepare again")
    assert len(str(error.value).splitlines()) == 1


def test_a_shard_may_be_empty(tmp_path: Path) -> None:
    """As of a block of blank lines."""
    written(tmp_path / "set", [rows(2), [], rows(1)])
    found = Shards(tmp_path / "set")
    assert found.column("label").tolist() == [-1, 0, -1]
    assert [found.row(number)["label"] for number in range(3)] == [-1, 0, -1]
    found.verify()


def test_journals_of_any_content_are_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(write_shard(tmp_path, 0, rows(3), SCHEMA))
    journal.path.write_bytes(journal.path.read_bytes() + b'[1]\n{"a": 1}\n5\n\xff\xfe\n{"file": 3}\nnull\n' + b"[" * 100_000)
    assert sorted(Journal(tmp_path).done) == [0]


def test_a_set_without_rows(tmp_path: Path) -> None:
    written(tmp_path / "set", [])
    found = Shards(tmp_path / "set")
    assert len(found) == len(found.tokens) == len(found.column("label")) == len(found.column("tokens")) == 0
