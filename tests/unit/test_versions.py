"""The version, and the ranges of pyproject.toml: what `make versions` makes of them, and that a site's torch is kept."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import versions
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from xdist.cli import main
from xdist.launch.doctor import versions as doctor
from xdist.version import __version__

ROOT = Path(__file__).resolve().parents[2]
PINS = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
PINNED = {canonicalize_name(name): version for name, version in PINS}
NEEDED = [
    Requirement(line)
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
]


def test_every_pin_is_in_its_range() -> None:
    assert [
        str(one) for one in NEEDED if len(one.specifier) and not one.specifier.contains(PINNED[canonicalize_name(one.name)])
    ] == []


def test_lowest_are_the_lower_bounds_and_torch_the_pinned_one() -> None:
    lowest = dict(line.split("==") for line in versions.constraints("lowest"))
    assert lowest["torch"] == PINNED["torch"]
    for one in NEEDED:
        if len(one.specifier):
            assert one.specifier.contains(lowest[one.name], prereleases=True), one
    assert lowest["transformers"] != PINNED["transformers"]
    assert lowest["pytest"] == PINNED["pytest"]
    assert dict(line.split("==") for line in versions.constraints("lowest", "lowest"))["torch"] == "2.11.0"
    highest = dict(line.split("==") for line in versions.constraints("highest"))
    assert highest["torch"] == PINNED["torch"]
    assert "transformers" not in highest


def test_what_doctor_calls_checked_holds_the_pins_and_the_page_says_the_same() -> None:
    page = (ROOT / "docs/how-to/install.md").read_text(encoding="utf-8")
    names = {"torch": "torch", "deepspeed": "DeepSpeed", "transformers": "transformers"}
    for name, series in doctor.CHECKED.items():
        assert ".".join(PINNED[name].split(".")[:2]) in series
        (row,) = re.findall(rf"^\| {names[name]} \|.*\|$", page, re.MULTILINE)
        _, _, _, ran, _, _ = row.split("|")
        assert all(one in ran for one in series), row


@pytest.mark.parametrize("version", ["2.11.0+cu130", "2.12.0a0+5f2c9b1.nv26.4", "2.14.1"])
def test_the_torch_of_a_site_is_kept(tmp_path: Path, version: str) -> None:
    """An environment that has all else, and its own torch: what pip would install is xdist alone."""
    site = tmp_path / f"torch-{version.replace('-', '_')}.dist-info"
    site.mkdir()
    (site / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    line = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-index",
        "--no-build-isolation",
        "--report",
        "-",
        "--quiet",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([*line, str(ROOT)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert {one["metadata"]["name"] for one in json.loads(done.stdout)["install"]} == {"xdist-xtreme"}


def test_the_version_is_that_of_the_next_release_until_its_section_of_the_changelog_has_a_day() -> None:
    """The rule is in CONTRIBUTING.md."""
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    begun, dated = heads[0] == "Unreleased", [head for head in heads if head != "Unreleased"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", head) for head in dated)
    released = [Version(head.split()[0]) for head in dated]
    assert released == sorted(released, reverse=True)
    assert len(heads) == len(dated) + begun
    last, now = released[0], Version(__version__)
    if begun:
        assert now.is_devrelease
        assert now.release in {(last.major, last.minor + 1, 0), (last.major + 1, 0, 0)}
    else:
        assert now == last
    assert CliRunner().invoke(main, ["--version"]).output == f"xdist, version {__version__}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "xdist/version.py"
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "jobs").rglob("*.yaml")]
    tags = {tag for text in (*texts, (ROOT / "Containerfile").read_text()) for tag in re.findall(r"/xdist:([\w.]+)", text)}
    assert tags == {str(last)}
