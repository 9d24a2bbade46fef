"""YAML and `a.b=c` overrides into a typed value; every mistake becomes one line that names file, line and key."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError, ValidationInfo

from xdist.errors import UserError, unknown

M = TypeVar("M", bound=BaseModel)
KeyPath = tuple[str | int, ...]
WRONG_KEY = ("wrong_key", "extra_forbidden")  # of a section of ours, and of a model of others such as DeepSpeed's
# What pydantic calls a tuple or a model is a list or a mapping to whoever writes YAML.
IN_YAML = {
    "tuple_type": "expected a list: [a, b]",
    "model_type": "expected 'key: value' lines",
    "model_attributes_type": "expected 'key: value' lines",
    "path_type": "expected a path",
    "too_short": "is empty",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a description is read, as the context of its validation. `earlier`: words of earlier versions stand for those of
    today, as in what xdist wrote itself; else they are reported. `imports`: the plugins that it names are imported."""

    earlier: bool = False
    imports: bool = True

    @staticmethod
    def of(info: ValidationInfo) -> "Reading":
        return info.context or Reading()


PLAIN = Reading()


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
                return f"{self.overrides[key[:depth]]}: {dotted}"
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
    put(values, name, value, source, text, " (command line)")


def put(values: dict[str, Any], name: str, value: Any, source: Source, text: str, origin: str = "") -> None:
    """Put `value` at the dotted `name`; errors about it will begin with `text` and `origin`: where the user wrote it."""
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
                source.overrides[key[: depth + 1]] = text + origin
            place = place[part]
        else:
            place = place[part]
    for known in (source.lines, source.overrides):  # what stood inside the old value
        for inside in [one for one in known if len(one) > len(key) and one[: len(key)] == key]:
            del known[inside]
    source.overrides[key] = text + origin


def load(kind: type[M], path: Path, overrides: Sequence[str] = (), reading: Reading = PLAIN) -> tuple[M, Source]:
    """The `kind` described by the YAML file at `path`, with overrides applied. Raises UserError."""
    values, source = read_yaml(path)
    for text in overrides:
        apply_override(values, text, source)
    return validated(kind, values, source, reading), source


def validated(kind: type[M], values: dict[str, Any], source: Source, reading: Reading = PLAIN) -> M:
    """Raises UserError that names the line, or override, of the first mistake."""
    try:
        return kind.model_validate(values, context=reading)
    except ValidationError as error:
        raise UserError(_one_line(kind, values, error, source)) from None


def _one_line(kind: type[BaseModel], values: Any, error: ValidationError, source: Source) -> str:
    # A wrong key often makes another one missing: the wrong one is what the user can see.
    first = min(error.errors(), key=lambda item: item["type"] not in WRONG_KEY)
    key = _written(first["loc"], values, first["type"] == "missing")
    context = first.get("ctx", {})
    if first["type"] in WRONG_KEY:
        if first["type"] == "extra_forbidden":
            context = {"key": key[-1], "message": unknown("key", key[-1], _keys_at(kind, key[:-1]))}
            key = key[:-1]
        wrong = context["key"]
        parent = source.at((*key, wrong)).removesuffix(str(wrong)).rstrip(".: ")
        return f"{parent}: {context['message']}"
    if first["type"] == "missing":
        return f"{source.at(key[:-1])}: '{key[-1]}' is required"
    message = IN_YAML.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    names = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    if names:
        message = unknown("value", first["input"], names)
    return f"{source.at(key)}: {message}"


def _written(loc: KeyPath, values: Any, missing: bool) -> KeyPath:
    """The part of pydantic's `loc` that the user wrote: it also names which kind of a union it tried. Of a missing key the
    last part is not there to be found."""
    key: list[str | int] = []
    for number, part in enumerate(loc):
        if (isinstance(values, dict) and part in values) or (isinstance(values, list) and isinstance(part, int)):
            values = values[part]  # type: ignore[index]
        elif not (missing and number == len(loc) - 1):
            continue
        key.append(part)
    return tuple(key)


def _keys_at(kind: Any, key: KeyPath) -> Mapping[str, object]:
    """The keys of the model that sits at `key` inside `kind`, where it can only be one."""
    for part in key:
        found = _models_in(kind.model_fields[part].annotation) if part in kind.model_fields else []
        if len(found) != 1:
            return {}
        (kind,) = found
    return kind.model_fields


def _models_in(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
