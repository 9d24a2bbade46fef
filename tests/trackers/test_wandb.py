"""The sink `wandb` with the real package, offline; where it is installed with xdist: make trackers."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xdist.run.sinks import Sinks, Start

pytest.importorskip("wandb")
BLOCK, HEADER, MAGIC = 32768, 7, 7


def records(file: Path) -> Iterator[Any]:
    """What a .wandb file holds, in wandb's own classes: frames of LevelDB's log, complete (1) or first, middle, last (2, 3,
    4)."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, whole = file.read_bytes(), MAGIC, b""
    while at + HEADER <= len(content):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, at)
        whole += content[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def test_all_starts_are_one_run_that_its_own_library_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    sinks = Sinks(("wandb",), Start(tmp_path, "mine", {"seed": 1, "train": {"steps": 2}}, 0))
    for step in (1, 2):
        sinks.scalars(step, {"train/loss": 1 / step})
    sinks.close()
    sinks = Sinks(("wandb",), Start(tmp_path, "mine", {"seed": 1}))
    sinks.scalars(2, {"eval/xnli/sw": 61.5})
    sinks.text(2, "alike", "**all** <same>")
    sinks.hparams({}, {"score/xnli": 61.5})
    sinks.close()
    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2  # although both began in one second
    found = [one for file in files for one in records(file)]
    about = {(one.run.run_id, one.run.display_name) for one in found if one.WhichOneof("record_type") == "run"}
    assert about == {((tmp_path / "wandb-id").read_text().strip(), "mine")}
    lines = [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in one.history.item}
        for one in found
        if one.WhichOneof("record_type") == "history"
    ]
    sync = [sys.executable, "-m", "wandb", "sync", "--dry-run", *(str(file.parent) for file in files)]
    listed = subprocess.run(sync, cwd=tmp_path, capture_output=True, text=True)
    assert (listed.returncode, [file.name for file in files if str(file.name) not in listed.stderr]) == (0, []), listed.stderr
    shown = [(line["step"], key, line[key]) for line in lines for key in ("train/loss", "eval/xnli/sw") if key in line]
    assert shown == [(1, "train/loss", 1.0), (2, "train/loss", 0.5), (2, "eval/xnli/sw", 61.5)]
