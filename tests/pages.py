"""What README and docs show: commands in fences, and files under the name in their first line."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = ("xdist", "deepspeed", "python", "make", "kubectl")


@cache
def fences(page: Path) -> list[tuple[str, str]]:
    return FENCE.findall(page.read_text(encoding="utf-8"))


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, block in fences(page):
        if language in languages:
            yield block


def commands(page: Path) -> Iterator[str]:
    for block in blocks(page, "", "sh"):
        for line in block.splitlines():
            line = re.sub(r"\$\(\(.*?\)\)", "1", line)
            command = re.split(r"\s#\s|\s{3,}|; | \| ", line)[0].strip()
            if command.split(" ")[0] in PROGRAMS:
                yield command


def shown(page: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each YAML file, plugin and program."""
    for block in blocks(page, "yaml", "python"):
        if name := re.match(r"# (\S+\.(?:yaml|py))\n", block):
            yield name[1], block


def json_keys(command: str) -> set[str]:
    """What docs/how-to/json.md says that `xdist COMMAND --json` has."""
    lines = (ROOT / "docs/how-to/json.md").read_text(encoding="utf-8").splitlines()
    return {word for line in lines if line.startswith(f"| `{command}` |") for word in re.findall(r"`([a-z_0-9]+)`", line)}


def keys_of(content: object) -> set[str]:
    """The keys of an object, and of the objects in lists inside it."""
    match content:
        case dict():
            return set(content).union(*(keys_of(one) for one in content.values() if isinstance(one, list)))
        case list():
            return set().union(*map(keys_of, content))
    return set()
