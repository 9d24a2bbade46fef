"""YAML and `a.b=c` overrides into a typed value; every error becomes one line that names file, line and key.

How YAML is read: reader.py; what a word is: scalars.py; which words a key takes: fitting.py.
"""

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, ValidationInfo

from xdist.config.fitting import fit_values, plain_values
from xdist.config.reader import CHARACTERS, KeyPath, Unreadable, parse_yaml, values_of
from xdist.config.scalars import Scalar
from xdist.errors import WORD, UserError, cut, unknown

M = TypeVar("M", bound=BaseModel)
WRONG_KEY = ("wrong_key", "extra_forbidden")  # of a section of ours, and of a model of others such as DeepSpeed's
# What pydantic calls a tuple or a model is a list or a mapping in YAML.
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
    """Where each key of a configuration is: in a line of its file, or in an override."""

    path: Path
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)

    def at(self, key: KeyPath) -> str:
        """'jobs/runs/a.yaml:12: train.steps', or 'train.steps=x (command line): train.steps' for an override."""
        dotted = ".".join(map(str, key))
        for depth in range(len(key), -1, -1):
            if key[:depth] in self.overrides:
                place, inner = self.overrides[key[:depth]], ".".join(map(str, key[:depth]))
                if inner and place.endswith(f".{inner}"):  # a line of a study that sets it ends with it
                    return place + dotted.removeprefix(inner)
                return f"{place}: {dotted}"
            if key[:depth] in self.lines:
                where = f"{self.path}:{self.lines[key[:depth]]}"
                return f"{where}: {dotted}" if dotted else where
        return f"{self.path}: {dotted}" if dotted else str(self.path)


def read_yaml(path: Path) -> tuple[dict[str, Any], Source]:
    """The mapping in a YAML file, its words as Scalars, and the line of each key. Raises UserError for what is no such file."""
    source = Source(path)
    try:
        part = parse_yaml(_text(path))
        if part is None:
            return {}, source
        if part.pairs is None:
            raise Unreadable(part.line, "expected 'key: value' lines")
        return values_of(part, source.lines), source
    except Unreadable as error:
        raise UserError(f"{path}:{error.line}: {error}") from None


def plain_yaml(path: Path) -> dict[str, Any]:
    """The same as plain values, for readers of a file without a description of its keys."""
    values: dict[str, Any] = plain_values(read_yaml(path)[0])
    return values


def _text(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):  # each rank reads it
            raise UserError(f"{path}: cannot be read: it is no file that can be read twice")
        with path.open("rb") as file:
            content = file.read(4 * CHARACTERS + 1)
        return content.decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8") from None


def apply_override(values: dict[str, Any], text: str, source: Source) -> None:
    """Put `a.b.0.c=value` into `values`; the value is read as YAML. Raises UserError for a malformed override."""
    name, equals, raw = text.partition("=")
    if not equals or not all(name.split(".")):
        raise UserError(f"{text}: an override has the form key.subkey=value")
    try:
        part = parse_yaml(raw)
        value = Scalar("", None) if part is None else values_of(part, {})
    except Unreadable as error:
        raise UserError(f"{cut(text, WORD)}: the value is not valid YAML: {error}") from None
    put_value(values, name, value, source, cut(text, WORD), " (command line)")


def put_value(values: dict[str, Any], name: str, value: Any, source: Source, text: str, origin: str = "") -> None:
    """Put `value` at the dotted `name`; errors about it will begin with `text` and `origin`: where the user wrote it."""
    words = name.split(".")
    key: KeyPath = ()
    place: Any = values
    for depth, word in enumerate(words):
        part: str | int = word
        if isinstance(place, list):
            if not re.fullmatch(r"[0-9]{1,9}", word) or int(word) >= len(place):
                raise UserError(f"{text}: '{'.'.join(words[:depth])}' is a list of {len(place)}, it has no '{word}'")
            part = int(word)
        elif not isinstance(place, dict):
            raise UserError(f"{text}: '{'.'.join(words[:depth])}' holds a single value, it has no '{word}'")
        key = (*key, part)
        if depth == len(words) - 1:
            place[part] = value
        elif isinstance(place, dict) and _is_nothing(place.get(word)):
            place[word] = {}
            source.overrides[key] = text + origin
            place = place[word]
        else:
            place = place[part]
    for known in (source.lines, source.overrides):  # what stood inside the old value
        for inside in [one for one in known if len(one) > len(key) and one[: len(key)] == key]:
            del known[inside]
    source.overrides[key] = text + origin


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, Scalar) and value.value is None)


def load(kind: type[M], path: Path, overrides: Sequence[str] = (), reading: Reading = PLAIN) -> tuple[M, Source]:
    """The `kind` described by the YAML file at `path`, with overrides applied. Raises UserError."""
    values, source = read_yaml(path)
    for text in overrides:
        apply_override(values, text, source)
    return validated(kind, values, source, reading), source


def validated(kind: type[M], values: dict[str, Any], source: Source, reading: Reading = PLAIN) -> M:
    """Raises UserError that names the line, or override, of the first error."""
    try:
        return kind.model_validate(fit_values(kind, values), context=reading)
    except ValidationError as error:
        raise UserError(_one_line(kind, values, error, source)) from None


def _one_line(kind: type[BaseModel], values: Any, error: ValidationError, source: Source) -> str:
    # A wrong key often makes another one missing: the wrong one is what the user can see.
    first = min(error.errors(), key=lambda item: item["type"] not in WRONG_KEY)
    key = _written_key(first["loc"], values, first["type"] == "missing")
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
    elif isinstance(scalar := first["input"], Scalar):
        message = scalar.wrong or f"{message}, not {_scalar_text(scalar)}"
    return f"{source.at(key)}: {message}"


def _scalar_text(scalar: Scalar) -> str:
    if isinstance(scalar.value, str):
        return f"the text '{cut(scalar.written)}'"
    return f"{scalar.written}; quote it for the text" if scalar.written else "nothing"


def _written_key(loc: KeyPath, values: Any, missing: bool) -> KeyPath:
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
    fields: Mapping[str, object] = kind.model_fields
    return fields


def _models_in(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
