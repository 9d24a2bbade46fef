"""Preparation in parts, by workers, after interruptions: always the same shards, and none made twice."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from resolved_of import prepared_of
from tiny import tiny_benchmark, tiny_model

from xdist.cli import main
from xdist.config import load_run
from xdist.data import encoding
from xdist.data.prepare import Preparation
from xdist.data.shards import MANIFEST, Shards
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.formats import corpus

RUN = """\
name: prepare
folder: out
model: {{backbone: {folder}/encoder}}
data: {{root: {folder}/data, cache: {folder}/prepared, max_length: 32}}
train:
  tasks: [{{task: mlm, languages: [sw, quy]}}, {{task: cldr-topic}}]
  steps: 1
"""
BLOCK = 2000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepare")
    root = tiny_benchmark(folder / "data")
    text = "".join(f"Kenya {number} euro and dollar\n" + "\n" * (number % 9 == 0) for number in range(400))
    (root / "mlm/quy").mkdir(parents=True)
    (root / "mlm/sw.txt").write_text(text)
    (root / "mlm/quy/a.jsonl.gz").write_bytes(
        gzip.compress(b"".join(json.dumps({"text": "Peru"}).encode() + b"\n" * 2 for _ in range(300)))
    )
    (root / "mlm/quy/b.txt").write_text("Lima old new\n" * 200)
    tiny_model(folder / "encoder", root)
    (folder / "run.yaml").write_text(RUN.format(folder=folder))
    return folder


@pytest.fixture
def make(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Preparation]:
    """A preparation into a folder of the test's own (or of another one), in small shards."""
    plain = corpus.blocks
    monkeypatch.setattr(encoding, "blocks", lambda address, fields: plain(address, fields, BLOCK))
    monkeypatch.setattr(encoding, "EXAMPLES_PER_SHARD", 50)

    def preparation(cache: str = "prepared", *overrides: str) -> Preparation:
        run = load_run(place / "run.yaml", [f"data.cache={tmp_path / cache}", *overrides])
        return prepared_of(run, load_tokenizer(run.model.backbone))

    return preparation


def content(made: Preparation) -> dict[str, Any]:
    """The rows of each subset, and its manifest."""
    found = {}
    for subset, shards in zip(made.subsets, made.shards(made.subsets), strict=True):
        assert isinstance(shards, Shards)
        rows = [{key: np.asarray(value).tolist() for key, value in shards.row(n).items()} for n in range(len(shards))]
        found[str(subset)] = (rows, shards.manifest)
    return found


def test_workers_and_parts_make_the_same_shards(make: Callable[..., Preparation]) -> None:
    alone = make("alone")
    alone.make_missing()
    expected = content(alone)
    assert len(expected["mlm train sw"][1]["shards"]) > 4
    assert len(expected["cldr-topic train en"][1]["shards"]) == 3
    several = make("several")
    several.make_missing(number=2)
    assert content(several) == expected
    for part in ((2, 3), (1, 3), (3, 3)):
        make("parts").make_missing(part=part)
    parts = make("parts")
    assert all(parts.finish(subset) for subset in parts.missing())
    assert content(parts) == expected


def test_no_text_is_lost_between_shards(make: Callable[..., Preparation], place: Path) -> None:
    made = make()
    made.make_missing()
    rows, manifest = content(made)["mlm train sw"]
    tokenizer = made.tokenizer
    written = (place / "data/mlm/sw.txt").read_text().split("\n")
    expected = [token for line in written if line for token in tokenizer(line, add_special_tokens=False)["input_ids"]]
    assert [token for row in rows for token in row["tokens"][1:-1]] == expected
    assert [row["example"] for row in rows] == sorted(row["example"] for row in rows)
    assert manifest["lines"]["empty"] == 45
    assert manifest["tokens"] == sum(len(row["tokens"]) for row in rows)
    assert manifest["bytes"] == (place / "data/mlm/sw.txt").stat().st_size
    assert manifest["fingerprint"] in str(made.folders[made.subsets[0]])
    assert sum(manifest["lengths"].values()) == len(rows)


def test_an_interrupted_preparation_makes_what_is_left(make: Callable[..., Preparation]) -> None:
    whole = make("whole")
    whole.make_missing()
    shown: list[int] = []

    def stop(subset: Subset, facts: dict[str, Any]) -> None:
        shown.append(facts["number"])
        if len(shown) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("cut").make_missing(on_shard=stop)
    again = make("cut")
    assert not (again.folders[again.subsets[0]] / MANIFEST).exists()
    made: list[tuple[str, int]] = []
    again.make_missing(on_shard=lambda subset, facts: made.append((str(subset), facts["number"])))
    assert shown == [0, 1, 2]
    assert not {("mlm train sw", number) for number in shown} & set(made)
    assert content(again) == content(whole)
    again.make_missing(on_shard=lambda subset, facts: pytest.fail("nothing was missing"))


def test_a_part_that_is_missing_is_told(make: Callable[..., Preparation]) -> None:
    made = make()
    made.make_missing(part=(1, 2))
    assert [made.finish(subset) for subset in made.missing()] == [None] * len(made.missing())
    assert len(made.missing()) == 3


@pytest.mark.parametrize("number", [1, 2])
def test_a_broken_line_is_told_by_whoever_reads_it(make: Callable[..., Preparation], tmp_path: Path, number: int) -> None:
    (tmp_path / "root/mlm").mkdir(parents=True)
    (tmp_path / "root/mlm/sw.txt").write_bytes(b"good line\n" * 900 + b"b\xffd\n" + b"more\n" * 90)
    options = [f"data.root={tmp_path / 'root'}", "train.tasks=[{task: mlm, languages: [sw]}]"]
    with pytest.raises(UserError, match=r"mlm/sw\.txt:901: not UTF-8: byte 0xff at offset 9001 of the text"):
        make("bad", *options).make_missing(number=number)
    made = make("bad", *options)
    made.make_missing(on_bad="skip", number=number)
    (_, manifest), *_ = content(made).values()
    assert manifest["lines"]["bad"] == 1


def test_too_many_broken_lines_are_no_accident(make: Callable[..., Preparation], tmp_path: Path) -> None:
    (tmp_path / "root/mlm").mkdir(parents=True)
    (tmp_path / "root/mlm/sw.txt").write_bytes(b"good line\n" * 500 + b"b\xffd\n" * 11)
    options = [f"data.root={tmp_path / 'root'}", "train.tasks=[{task: mlm, languages: [sw]}]"]
    with pytest.raises(UserError, match="mlm train sw: 11 of 511 lines cannot be read: more than 1%"):
        make("bad", *options).make_missing(on_bad="skip")


def test_every_byte_is_verified_on_request(place: Path, tmp_path: Path) -> None:
    words = ["prepare", str(place / "run.yaml"), f"data.cache={tmp_path}"]
    typed = CliRunner().invoke(main, [*words, "--verify"])
    assert typed.exit_code == 2
    assert typed.output.count("not prepared (no manifest.json)") == 3
    assert typed.output.endswith("xdist: 3 of 3 prepared sets are damaged or missing\n")
    assert CliRunner().invoke(main, words).exit_code == 0
    typed = CliRunner().invoke(main, [*words, "--verify"])
    assert typed.exit_code == 0, typed.output
    assert typed.output.count(" rows are as they were written\n") == 3
    (shard,) = tmp_path.glob("mlm-train-sw-*/shard-00000.arrow")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 4
    shard.write_bytes(content)
    typed = CliRunner().invoke(main, [*words, "--verify"])
    assert typed.exit_code == 2
    assert typed.output.count(" rows are as they were written\n") == 2
    assert f"mlm train sw: {shard}: damaged shard (" in typed.output
    assert typed.output.endswith("xdist: 1 of 3 prepared sets are damaged or missing\n")
    assert CliRunner().invoke(main, [*words, "--verify", "--finish"]).exit_code == 2


def test_shards_that_killed_writers_left_half_written_are_removed(make: Callable[..., Preparation]) -> None:
    made = make()
    folder = next(iter(made.folders.values()))
    folder.mkdir(parents=True)
    names = (".shard-00000.arrow.0123abcd", ".shard-00000.arrow.fresh_er", ".manifest.json.01234567")
    for name in names:
        (folder / name).touch()
    os.utime(folder / names[0], (1.0, 1.0))
    os.utime(folder / names[2], (1.0, 1.0))
    made.make_missing()
    assert [(folder / name).exists() for name in names] == [False, True, True]
