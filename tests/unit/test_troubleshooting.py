"""The page for when something is wrong speaks of messages that exist, and that of gold of the files that are read."""

import re

import pytest
from pages import ROOT

from xdist.tasks.catalog import XTREME_R, task

PAGE, GOLD = (ROOT / "docs/how-to" / name for name in ("troubleshooting.md", "gold.md"))
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in [*(ROOT / "xdist").rglob("*.py"), ROOT / "xdist_xtreme.py"])


def messages() -> list[str]:
    rows = [line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return [message for row in rows for message in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("message", messages())
def test_the_page_speaks_of_messages_that_are_there(message: str) -> None:
    """As far as they are always the same: what a message names is in quotes or is a number, or is left out there."""
    said = [part.strip(" ':;") for part in re.split(r"…|'[^']*'|\d+|\(.*|train\.steps|O: sw|unknown key", message)]
    for part in filter(None, said):
        assert part in SOURCE, part


def test_the_page_has_what_is_met_most() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for word in ("gold", "F1 of 0", "One label", "Out of memory", "NCCL", "No network", "pytest-xdist", "Holds no head"):
        assert word in text
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-") for line in text.splitlines() if line[:3] == "## "
    }
    assert set(re.findall(r"\(#([^)]+)\)", text)) <= anchors


@pytest.mark.parametrize("name", XTREME_R)
def test_gold_of_each_of_the_ten_tasks_has_its_place(name: str) -> None:
    (row,) = [line for line in GOLD.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name} |")]
    entry = task(name)
    place = entry.gold.get("test", entry.files["test"][0]).replace("{language}", "xx")
    assert place in row
    assert entry.hub is None or entry.hub.id in row
