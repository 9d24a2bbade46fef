"""The pages that say where things are, and where they are added, name files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/where-to-add.md"
DESIGN = ROOT / "docs/design.md"
ROOMS = "|".join(path.name for path in (ROOT / "xdist").iterdir() if (path / "__init__.py").is_file())


def test_every_place_that_the_page_names_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = re.findall(r"`((?:xdist|tests|docs|ds_configs|benchmarks)/[\w/.]*)`", text)
    assert len(names) > 20
    assert [name for name in names if not (ROOT / name).exists()] == []
    rooms = {name.split("/")[1] for name in names if name.startswith("xdist/")}
    inner = set(re.findall(r"`((?:resolve|runtime|model|evaluation)/\w+\.py)`", text))
    assert inner
    assert [name for name in inner if not (ROOT / "xdist" / name).exists()] == []
    assert rooms <= {path.name for path in (ROOT / "xdist").iterdir()}


def test_every_concept_of_the_design_has_a_file_and_a_test_and_every_choice_its_files() -> None:
    """That links lead somewhere is checked for all pages (test_docs.py)."""
    text = DESIGN.read_text(encoding="utf-8")
    linked = re.compile(r"\]\(\.\./(\w+)/")
    rows = re.findall(r"^\| (?!concept \|)(\w[^|]*) \| ([^|]*) \| ([^|]*) \|$", text, re.MULTILINE)
    assert len(rows) > 30
    for concept, files, tests in rows:
        assert set(linked.findall(files)) == {"xdist"}, concept
        assert set(linked.findall(tests)) == {"tests"}, concept
    choices = re.split(r"^- ", text.split("\n## Choices")[1], flags=re.MULTILINE)[1:]
    assert len(choices) > 40
    assert [choice.splitlines()[0] for choice in choices if not re.search(r"^  → \[", choice, re.MULTILINE)] == []


def test_files_that_the_design_names_are_there() -> None:
    names = re.findall(rf"`((?:{ROOMS})/[\w/]+(?:\.\w+)?/?)`", DESIGN.read_text(encoding="utf-8"))
    assert len(names) > 60
    names = [name for name in names if name not in ("robust/skipped", "robust/rounding")]  # numbers that a run logs
    there = ROOT / "xdist"
    assert [name for name in names if not (there / name).exists() and not (there / f"{name}.py").is_file()] == []
