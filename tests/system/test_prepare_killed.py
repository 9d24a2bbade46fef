"""xdist prepare, killed at any moment and started again, in parts, and on damaged files."""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny import tiny_benchmark, tiny_model
from typing_of_commands import Typed

from xdist.files import read_json


@pytest.fixture(scope="module")
def corpus_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 11 MB of running text: three shards."""
    folder = tmp_path_factory.mktemp("corpus")
    root = tiny_benchmark(folder / "benchmark")
    (root / "mlm").mkdir()
    lines = "".join(f"{number} {'euro dollar Kenya old Peru January Germany ' * 10}\n" for number in range(250))
    (root / "mlm/sw.txt").write_text(lines * 100)
    run = {
        "name": "corpus",
        "folder": str(folder / "run"),
        "model": {"backbone": str(tiny_model(folder / "encoder", root))},
        "data": {"root": str(root), "cache": str(folder / "prepared")},
        "train": {"tasks": [{"task": "mlm", "languages": ["sw"]}], "steps": 1},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    return folder / "run.yaml"


def shards(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("prepared/*/shard-*.arrow")}


def test_killed_and_started_again_it_makes_only_what_is_left(loaded: Typed, corpus_run: Path) -> None:
    folder = corpus_run.parent
    command = [str(Path(sys.executable).with_name("xdist")), "prepare", str(corpus_run), "--workers", "2"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(folder.glob("prepared/*/journal-*")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = shards(folder)
    journal = next(folder.glob("prepared/*/journal-*")).read_text()
    noted = {name: at for name, at in before.items() if name in journal}
    assert not list(folder.glob("prepared/*/manifest.json"))

    for options in (["--part", "1/2"], ["--part", "2/2"], ["--finish"]):
        done = loaded("xdist", "prepare", corpus_run, *options)
        assert done.returncode == 0, done.stderr
    after = shards(folder)
    assert {name: after[name] for name in noted} == noted
    manifest = read_json(next(folder.glob("prepared/*/manifest.json")))
    assert len(manifest["shards"]) == len(after) == 3
    assert manifest["lines"]["lines"] == 25_000


def test_a_part_alone_cannot_be_finished(loaded: Typed, corpus_run: Path, tmp_path: Path) -> None:
    """In its own cache: the other part has made nothing, whenever another start was killed."""
    done = loaded("xdist", "prepare", corpus_run, "--part", "1/2", f"data.cache={tmp_path}")
    assert done.returncode == 0, done.stderr
    early = loaded("xdist", "prepare", corpus_run, "--finish", f"data.cache={tmp_path}")
    assert (early.returncode, early.stderr.count("\n")) == (2, 1)
    assert "shards are missing" in early.stderr


def test_a_truncated_file_is_one_line(loaded: Typed, corpus_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mlm").mkdir()
    (tmp_path / "mlm/sw.txt.gz").write_bytes(gzip.compress(b"Kenya na Peru\n" * 9999)[:-30])
    broken = loaded("xdist", "prepare", corpus_run, f"data.root={tmp_path}", f"data.cache={tmp_path}")
    assert broken.returncode == 2
    assert "mlm/sw.txt.gz:" in broken.stderr
    assert "cannot be read after byte" in broken.stderr
    assert "Traceback" not in broken.stderr
