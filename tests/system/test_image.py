"""The image for CPUs: by a builder where there is one, else the Containerfile's steps in a clean root. There Python is the
distribution's and a user has number 1000, as in CUDA's images."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_root import CleanRoot, build, folders_of_packages

ROOT = Path(__file__).resolve().parents[2]
# Where pip has its own folders on this machine, they have torch for CPUs.
ARGUMENTS = {"TORCH_INDEX": "https://pypi.org/simple"} if folders_of_packages() else {}
BUILDERS = [name for name in ("podman", "docker") if shutil.which(name)]
LOOK = (
    "id -u && python -c 'import torch, xdist, deepspeed; print(torch.__version__, xdist.__file__)' && "
    "COLUMNS=200 xdist tasks && test ! -w /opt/xdist"
)

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not os.environ.get("XDIST_CI") and not (os.geteuid() == 0 and shutil.which("debootstrap")),
        reason="needs root and debootstrap",
    ),
]


def working_builder() -> str:
    return next(
        (name for name in BUILDERS if not subprocess.run([name, "info"], capture_output=True, check=False).returncode), ""
    )


@pytest.fixture
def root(tmp_path: Path) -> Iterator[CleanRoot]:
    made = CleanRoot(tmp_path / "root")
    try:
        yield made
    finally:
        made.leave()
        assert str(made.folder) not in Path("/proc/mounts").read_text()  # else this machine's own folders would go with it
        shutil.rmtree(made.folder)


@pytest.mark.skipif(not working_builder(), reason="no builder that works: the steps run in a clean root")
def test_a_builder_builds_it() -> None:
    name = working_builder()
    words = [word for pair in ARGUMENTS.items() for word in ("--build-arg", "=".join(pair))]
    subprocess.run([name, "build", "--tag", "xdist-test", "--file", "Containerfile", *words, "."], cwd=ROOT, check=True)
    done = subprocess.run([name, "run", "--rm", "xdist-test", "sh", "-c", LOOK], capture_output=True, text=True, check=True)
    looks_right(done.stdout)


@pytest.mark.skipif(bool(working_builder()), reason="a builder builds it")
def test_its_steps_in_a_clean_root(root: CleanRoot) -> None:
    assert root.run("useradd --uid 1000 --create-home ubuntu", {}).returncode == 0
    variables, place, user = build(root, (ROOT / "Containerfile").read_text(), ARGUMENTS)
    assert (place, user) == ("/", "1000:1000")
    assert list((root.folder / "usr/lib").glob("python3.*/EXTERNALLY-MANAGED")), "Python is not the distribution's"
    done = root.run(LOOK, {**variables, "HOME": "/home/xdist"}, place, user)
    assert done.returncode == 0, done.stderr[-2000:]
    looks_right(done.stdout)


def looks_right(said: str) -> None:
    lines = said.splitlines()
    assert lines[0] == "1000"
    (versions,) = [line for line in lines if line.endswith("/site-packages/xdist/__init__.py")]
    assert versions.startswith("2.13.0")
    assert any("udpos" in line for line in lines), said
