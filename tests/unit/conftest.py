"""Fixtures of the tests that need no process group."""

import signal
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import tiny_benchmark
from tiny_kinds import tiny_kind
from tiny_study import AXES


@pytest.fixture
def killed_in() -> Callable[[Path], None]:
    """Let a process take the lock of a run folder and be killed."""
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom xdist.run.lock import RunLock\n"
        "RunLock(Path(sys.argv[1])).take('xdist train')\nos.kill(os.getpid(), 9)"
    )

    def kill(folder: Path) -> None:
        done = subprocess.run([sys.executable, "-c", program, str(folder)], check=False)
        assert done.returncode == -signal.SIGKILL

    return kill


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the tiny benchmark, for studies."""
    return tiny_benchmark(tmp_path_factory.mktemp("study") / "benchmark")


@pytest.fixture
def described(tmp_path: Path, data: Path) -> dict[str, Any]:
    """The sections of a study of two stages, one described by a file, one in the study itself."""
    common = {"data": {"root": str(data), "cache": str(tmp_path / "prepared")}, "model": {"backbone": "some/encoder"}}
    intermediate = {
        **common,
        "name": "a",
        "folder": "ignored",
        "train": {"tasks": [{"task": "cldr-topic", "languages": ["en", "de"]}], "steps": 20, "batch_size": 8},
    }
    target = {**common, "train": {"tasks": [{"task": "cldr-spans"}], "epochs": 2}, "evaluate": {"tasks": ["cldr-spans"]}}
    (tmp_path / "intermediate.yaml").write_text(yaml.safe_dump(intermediate))
    return {
        "name": "small",
        "folder": str(tmp_path / "out"),
        "stages": {"intermediate": {"run": "intermediate.yaml"}, "target": {"run": target, "after": "intermediate"}},
        "axes": deepcopy(AXES),
        "seeds": [1, 2],
    }


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a small random encoder of a kind, made once."""
    made: dict[str, str] = {}
    root = tmp_path_factory.mktemp("kinds")

    def folder(kind: str) -> str:
        if kind not in made:
            made[kind] = str(tiny_kind(root / kind.replace(" ", "-"), kind))
        return made[kind]

    return folder
