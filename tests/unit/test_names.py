"""One name, one meaning: no two public types of the package are called the same, except for those that are listed here."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A section of a run's YAML and the thing that it describes.
TWICE = {"Model"}


def _types(tree: ast.Module) -> Iterator[str]:
    """Classes, and aliases of types at the top level of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                yield name


def test_no_two_types_have_one_name() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "xdist").rglob("*.py"):
        for name in _types(ast.parse(path.read_text(encoding="utf-8"))):
            places[name].add(str(path.relative_to(ROOT)))
    twice = {name: sorted(found) for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in twice.items() if name not in TWICE} == {}
    assert twice.keys() == TWICE  # and the search finds what exists
