"""What the keys of a configuration are, read off its types: `xdist keys`, docs/reference.md and completion show the same."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from xdist.config.method import OPTIONS, Method

NAMES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true, false",
    Path: "path",
    Any: "anything",
    type(None): "null",
}
BOTH = "section, or a list of them"
SIGNS = {
    "ge": "≥ {}",
    "gt": "> {}",
    "le": "≤ {}",
    "lt": "< {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
}


@dataclass(frozen=True, slots=True)
class DescribedKey:
    """`value` says what may be there, `default` is "required" where something must."""

    key: str
    value: str
    default: str
    about: str


@dataclass(frozen=True, slots=True)
class DescribedSection:
    """`name` is how its keys begin, as "train.tasks", empty for those of the file itself; `at` the same without what a reader
    of YAML would add, to be looked up by."""

    name: str
    about: str
    keys: tuple[DescribedKey, ...]


def describe_section(model: type[BaseModel], name: str = "") -> DescribedSection:
    keys = (DescribedKey(key, value_of(one), default_of(one), _about(one)) for key, one in model.model_fields.items())
    return DescribedSection(name, docstring_line(model), tuple(keys))


def sections(model: type[BaseModel], name: str = "", done: set[type[BaseModel]] | None = None) -> Iterator[DescribedSection]:
    """A section, then those inside it, each kind once. `robust` is left to its methods."""
    done = done if done is not None else set()
    yield describe_section(model, name)
    for key, field in model.model_fields.items():
        for inner in _models_in(field.annotation):
            if inner not in done and inner is not Method and key != "robust":
                done.add(inner)
                yield from sections(inner, f"{name}.{key}".strip("."), done)


def docstring_line(model: type[BaseModel]) -> str:
    """Its docstring in one line; empty where it has none."""
    if not model.__doc__ or "pydantic" in model.__doc__.lower():
        return ""
    return " ".join(model.__doc__.partition(f"\n{OPTIONS}")[0].split())


def _about(field: FieldInfo) -> str:
    """A section that is not described where it is says it itself, in its first sentence."""
    if field.description:
        return field.description
    inner = [docstring_line(model).partition(". ")[0].rstrip(".") for model in _models_in(field.annotation)]
    if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
        return "which of them this is"
    return inner[0] if len(inner) == 1 else ""


def value_of(field: FieldInfo) -> str:
    limits = [
        sign.format(_number(getattr(one, key)))
        for one in field.metadata
        for key, sign in SIGNS.items()
        if getattr(one, key, None) is not None
    ]
    return ", ".join([_type(field.annotation), *limits])


def _number(limit: float) -> str:
    """A round one as a power of ten: 10^12."""
    zeros = len(str(int(limit))) - len(str(int(limit)).rstrip("0"))
    if zeros < 6 or limit != int(limit):
        return str(int(limit)) if limit == int(limit) else str(limit)
    head = str(int(limit))[:-zeros]
    return f"{head.removesuffix('1')}10^{zeros}" if head in ("1", "-1") else f"{head}·10^{zeros}"


def _type(annotation: Any) -> str:
    if annotation in NAMES:
        return NAMES[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in inner)).replace("section or list of section", BOTH)
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"{_type(inner[1])} by name"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return str(annotation)


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
