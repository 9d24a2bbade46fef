"""What a wheel carries, and what happens together with pytest-xdist, which owns the import name too."""

import os
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from tiny import tiny_benchmark, tiny_model

import xdist

ROOT = Path(__file__).resolve().parents[2]
OTHER = sorted((Path(sys.prefix) / "wheels").glob("pytest_xdist-*.whl"))


def pip(*words: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("xdist_xtreme-*.whl")
    return built


def installed(folder: Path, *wheels: Path) -> dict[str, str]:
    """Install into `folder` and give an environment that finds it before everything else."""
    for one in wheels:
        pip("install", "--no-deps", "--no-index", "--upgrade", "--target", folder, one)
    return {**os.environ, "PYTHONPATH": str(folder), "DS_ACCELERATOR": "cpu"}


def command(environment: dict[str, str], folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", "from xdist_xtreme import main; main()", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, env=environment, cwd=folder, check=False)


def test_wheel_carries_configurations_and_jobs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("ds_configs", "jobs"):
        files = [path for path in (ROOT / kind).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert files
        assert {f"xdist/{path.relative_to(ROOT)}" for path in files} <= names
    assert {"xdist_xtreme.py", "xdist/py.typed", "xdist/report/templates/report.html.j2"} <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs"))]
    pages = {path.relative_to(ROOT) for path in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md")}
    assert {f"xdist/{path}" for path in pages} <= names


def test_a_package_index_shows_links_that_lead_somewhere(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel)
    (name,) = (name for name in packed.namelist() if name.endswith("dist-info/METADATA"))
    about = message_from_bytes(packed.read(name))
    assert (about["Author"], about["License-Expression"]) == ("The xdist authors", "Apache-2.0")
    assert about.get_all("Project-URL") == ["Homepage, https://pypi.org/project/xdist-xtreme"]
    text = about.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert "More in results (`xdist docs results`)" in text
    assert re.findall(r"\]\((?!https?:|#)[^)]+\)", text) == []


def test_installed_wheel_finds_its_own_files(wheel: Path, tmp_path: Path) -> None:
    environment = installed(tmp_path / "site", wheel)
    tiny_benchmark(tmp_path / "benchmark")
    tiny_model(tmp_path / "encoder", tmp_path / "benchmark")
    run = tmp_path / "site" / "xdist" / "jobs" / "runs" / "demo" / "intermediate.yaml"
    overrides = (f"data.root={tmp_path / 'benchmark'}", "train.tasks.0.languages=[en]", f"folder={tmp_path / 'run'}")
    done = command(environment, tmp_path, "train", run, "--dry-run", *overrides, f"model.backbone={tmp_path / 'encoder'}")
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/site/xdist/ds_configs/zero2.json" in done.stdout
    assert f"{tmp_path}/site/xdist/train.py" in done.stdout
    page = command(environment, tmp_path, "docs", "cite")
    assert (page.returncode, page.stdout) == (0, (ROOT / "docs/how-to/cite.md").read_text(encoding="utf-8")), page.stderr
    assert "README" in command(environment, tmp_path, "docs").stdout


@pytest.mark.skipif(not OTHER, reason="no wheel of pytest-xdist in .venv/wheels (make puts it there)")
@pytest.mark.parametrize("ours_first", [True, False])
def test_beside_pytest_xdist_one_line_names_the_remedy(wheel: Path, tmp_path: Path, ours_first: bool) -> None:
    order = (wheel, OTHER[-1]) if ours_first else (OTHER[-1], wheel)
    done = command(installed(tmp_path / "site", *order), tmp_path, "tasks")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "pytest-xdist 3.8.0 is installed here" in done.stderr
    assert "pip uninstall -y pytest-xdist" in done.stderr


@pytest.mark.skipif(not OTHER, reason="no wheel of pytest-xdist in .venv/wheels (make puts it there)")
@pytest.mark.parametrize("order", ["ours", "ours theirs", "theirs ours", "theirs"])
def test_the_api_has_a_name_of_its_own_beside_pytest_xdist(wheel: Path, tmp_path: Path, order: str) -> None:
    """In one folder as site-packages is, with any `xdist/__init__.py` written last; else it says what is wrong."""
    with zipfile.ZipFile(wheel) as ours:
        ours.extract("xdist_xtreme.py", tmp_path)
    for whose in order.split():
        with zipfile.ZipFile(wheel if whose == "ours" else OTHER[-1]) as archive:
            archive.extractall(tmp_path)
    program = "import xdist_xtreme as xdist; print(xdist.__file__, xdist.__version__, xdist.tasks['udpos'].name)"
    line, environment = [sys.executable, "-c", program], {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    if order == "theirs":
        said = done.stderr.splitlines()[-1]
        assert said.startswith(f"ImportError: {tmp_path}/xdist is pytest-xdist's; remedy: pip uninstall -y pytest-xdist && ")
    else:
        assert done.stdout.split() == [f"{tmp_path}/xdist_xtreme.py", xdist.__version__, "udpos"], done.stderr
