"""xdist doctor as a user runs it on one machine: two ranks meet, and what is broken is reported with what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

from typing_of_commands import Typed


def test_this_machine(typed: Typed, tmp_path: Path) -> None:
    done = typed("xdist", "doctor", "--folder", "runs", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = {"versions", "accelerator", "attention", "compiler", "shared memory", "storage", "network"}
    assert {one["check"] for one in found} == checks
    pair, together = (one["says"] for one in found if one["check"] == "network")
    assert " rank 0 and " in pair
    assert together.startswith("2 ranks on 1 node meet by gloo, all-reduce at ")
    assert list(tmp_path.glob("runs/*")) == []


def test_no_compiler(tmp_path: Path) -> None:
    """Found before ranks are started, which would fail one after another."""
    command = [str(Path(sys.executable).with_name("xdist")), "doctor", "--folder", str(tmp_path)]
    environment = {**os.environ, "CXX": "no-such-compiler"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)
    assert done.returncode == 1
    assert "!  compiler: no no-such-compiler: DeepSpeed cannot compile its ops\n     install a C++ compiler" in done.stdout
    assert "network" not in done.stdout
    assert done.stderr == "1 of these will stop runs\n"
