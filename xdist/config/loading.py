"""YAML and `a.b=c` overrides into a typed value; every mistake becomes one line that names file, line and key."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from xdist.errors import UserError, unknown

M = TypeVar("M", bound=BaseModel)
KeyPath = tuple[str | int, ...]
# What pydantic calls a tuple or a model is a list or a mapping to whoever writes YAML.
IN_YAML = {"tuple_type": "expected a list: [a, b]", "model_type": "expected 'key: value' lines", "path_type": "expected a path"}


@dataclass(slots=True)
class Source:
    """Where each key of a configuration stands: in a line of its file, or in an override."""

    path: Path
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)

    def at(self, key: KeyPath) -> str:
        """'jobs/runs/a.yaml:12: train.steps', or 'train.steps=x (command line): train.steps' for an override."""
        dotted = ".".join(map(str, key))
        for depth in range(len(key), -1, -1):
            if key[:depth] in self.overrides:
                return f"{self.overrides[key[:depth]]} (command line): {dotted}"
            if key[:depth] in self.lines:
                where = f"{self.path}:{self.lines[key[:depth]]}"
                return f"{where}: {dotted}" if dotted else where
        return f"{self.path}: {dotted}" if dotted else str(self.path)


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: 1e-5 is a number, a key may stand only once."""


# YAML 1.1 reads 1e-5 as text because it has no dot.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> tuple[dict[str, Any], Source]:
    """The mapping in a YAML file and the line of each key. Raises UserError for what is not such a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8") from None
    source = Source(path)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return {}, source
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path}:{node.start_mark.line + 1}: expected 'key: value' lines")
        _note_lines(node, (), source)
        return loader.construct_document(node), source
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{path}:{line}: the character U+{error.character:04X} is not allowed in YAML") from None
    except (ValueError, RecursionError) as error:  # a date such as 2024-13-45; an anchor that holds itself
        raise UserError(f"{path}: not valid YAML: {error}") from None


def _note_lines(node: yaml.Node, key: KeyPath, source: Source) -> None:
    source.lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):  # as in 'folder: {{ place }}'
                raise UserError(f"{source.path}:{name.start_mark.line + 1}: a key is one word; quote a value that has braces")
            child = (*key, name.value)
            if name.value in seen:
                line = name.start_mark.line + 1
                raise UserError(f"{source.path}:{line}: {'.'.join(map(str, child))}: this key stands here twice")
            seen.add(name.value)
            source.lines[child] = name.start_mark.line + 1
            _note_lines(value, child, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*key, index), source)


def apply_override(values: dict[str, Any], text: str, source: Source) -> None:
    """Put `a.b.0.c=value` into `values`; the value is read as YAML. Raises UserError for a malformed override."""
    name, equals, raw = text.partition("=")
    if not equals or not all(name.split(".")):
        raise UserError(f"{text}: an override has the form key.subkey=value")
    try:
        value = yaml.load(raw, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UserError(f"{text}: the value is not valid YAML") from None
    key: KeyPath = tuple(int(part) if part.isdigit() else part for part in name.split("."))
    place: Any = values
    for depth, part in enumerate(key):
        last = depth == len(key) - 1
        if isinstance(place, list):
            if not isinstance(part, int) or part >= len(place):
                raise UserError(f"{text}: '{'.'.join(map(str, key[:depth]))}' is a list of {len(place)}, it has no '{part}'")
        elif not isinstance(place, dict):
            raise UserError(f"{text}: '{'.'.join(map(str, key[:depth]))}' holds a single value, it has no '{part}'")
        if last:
            place[part] = value
        elif isinstance(place, dict):
            if place.get(part) is None:
                place[part] = {}
                source.overrides[key[: depth + 1]] = text
            place = place[part]
        else:
            place = place[part]
    source.overrides[key] = text


def load(kind: type[M], path: Path, overrides: Sequence[str] = ()) -> tuple[M, Source]:
    """The `kind` described by the YAML file at `path`, with overrides applied. Raises UserError."""
    values, source = read_yaml(path)
    for text in overrides:
        apply_override(values, text, source)
    return validated(kind, values, source), source


def validated(kind: type[M], values: dict[str, Any], source: Source) -> M:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(_one_line(kind, error, source)) from None


def _one_line(kind: type[BaseModel], error: ValidationError, source: Source) -> str:
    # An unknown key often makes another one missing: the unknown one is what the user can see.
    first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    # Pydantic also names which kind of a union it tried; no key of ours has such a name.
    key = tuple(part for part in first["loc"] if not str(part).startswith(("function-", "tuple[", "literal[")))
    if first["type"] == "extra_forbidden":
        parent = source.at(key).removesuffix(str(key[-1])).rstrip(".: ")
        return f"{parent}: {unknown('key', key[-1], _fields(kind, key[:-1]))}"
    if first["type"] == "missing":
        return f"{source.at(key[:-1])}: '{key[-1]}' is required"
    message = IN_YAML.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    names = re.findall(r"'([^']*)'", str(first.get("ctx", {}).get("expected", "")))
    if names:
        message = unknown("value", first["input"], names)
    return f"{source.at(key)}: {message}"


def _fields(kind: Any, key: KeyPath) -> list[str]:
    """The field names of the model that sits at `key` inside `kind`."""
    for part in key:
        if isinstance(part, int) or part not in kind.model_fields:  # a place in a list, or a name that the user chose
            continue
        kind = _model_in(kind.model_fields[part].annotation)
    return list(kind.model_fields)


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
