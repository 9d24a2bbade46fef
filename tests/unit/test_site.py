"""The site of the documentation is built strictly: every page is in it, and a broken link ends the build."""

import shutil
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("docs", "README.md", "mkdocs.yml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    for name in ("xdist", "tests", "jobs"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def made(project: Path) -> Path:
    build(load_config(str(project / "mkdocs.yml"), site_dir=str(project / "site")))
    return project / "site"


def test_every_page_and_every_file_that_pages_link_to_is_there(project: Path) -> None:
    site = made(project)
    pages = {path.relative_to(project / "docs").with_suffix(".html") for path in (project / "docs").rglob("*.md")}
    assert {path.relative_to(site) for path in site.rglob("*.html")} >= {*pages, Path("index.html")}
    assert 'href="tutorial.html"' in (site / "index.html").read_text()
    assert "class Scheduler" in (site / "source/xdist/launch/scheduler.py.html").read_text()
    assert not [path for path in site.rglob("*.html") if "https://cdn" in path.read_text()]


@pytest.mark.parametrize("link", ["nothing.md", "../nothing.md", "method.md#nothing", "../xdist/nothing.py"])
def test_a_link_that_leads_nowhere_ends_the_build(project: Path, link: str) -> None:
    (project / "docs" / "tutorial.md").write_text(f"# Tutorial\n\n[nothing]({link})\n")
    with pytest.raises(Abort):
        made(project)
