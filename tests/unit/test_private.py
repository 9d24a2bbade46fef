"""What DeepSpeed, torch and transformers do not promise to keep is touched in two files, for the pinned versions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from xdist import private

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "xdist").rglob("*.py"))
PLACES = ("private.py", "private_step.py")
STANDARD = {"_exit", "_getframe", "_fields"}  # documented parts of Python itself


def _attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr) and node.attr not in STANDARD:
            yield node


def _own() -> set[str]:
    """Names with an underscore that the package itself defines."""
    found: set[str] = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
                found.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found


def test_private_parts_of_libraries_are_touched_in_two_files() -> None:
    own, found = _own(), []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        touched = [ast.unparse(node) for node in _attributes(tree) if node.attr not in own]
        found += [f"{path.relative_to(ROOT)}: {one}" for one in touched if path.name not in PLACES]
        if path.name == "private.py":
            assert "torch._assert_async" in touched  # the search finds what exists
    assert not found


def test_it_was_checked_against_the_pinned_versions() -> None:
    pins = dict(re.findall(r"^([a-z]+)==([0-9.]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert {name: pins[name] for name in private.CHECKED} == private.CHECKED
