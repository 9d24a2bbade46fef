"""One name, one meaning: no two public types of the package are called the same, except for those that are listed here."""

import ast
import re
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


def test_every_renamed_function_that_the_page_lists_has_its_new_name_alone() -> None:
    page = (ROOT / "docs/renames.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \| `([\w.]+)` \|$", page, re.MULTILINE)
    assert len(rows) > 300
    for module, before, now in rows:
        path = ROOT / module.replace(".", "/")
        file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        names = set(_functions(ast.parse(file.read_text(encoding="utf-8")), ""))
        assert now in names, (module, now)
        assert before not in names, (module, before)


def _functions(tree: ast.AST, inside: str) -> Iterator[str]:
    """Functions of a module, and methods as Class.method."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield inside + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{inside}{node.name}.")
