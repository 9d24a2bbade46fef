"""What is in YAML as the keys of a section want it: text as it is written, numbers as numbers, paths with `~` and
`$VARIABLES` put in.

A scalar that is not what its key wants stays a Scalar, which nothing takes: the key is then refused, and it says why.
"""

import os
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, PlainValidator

from xdist.config.scalars import Scalar
from xdist.errors import UserError

VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([^}]*)\})")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LARGEST = 2**63 - 1
NAME_BYTES, PATH_BYTES = 255, 4095  # what file systems and Linux take
OURS = (str, Path, int, float, bool, type(None))


class Text(Enum):
    """The kind of a text, in addition to its type: the mark of a key."""

    PATH = "a path, or a name that may be one"
    ELSEWHERE = "a path on another machine"
    BELOW = "a path below another one"


class Later:
    """The mark of values that are read where it is known what they are for, as what a study changes in its runs."""


Unread = Annotated[Any, Later()]
PathText = Annotated[str, Text.PATH]


@dataclass(frozen=True, slots=True)
class KeyType:
    """One of the types that a key takes, and its marks."""

    type: Any
    marks: tuple[Any, ...]


def fit_values(kind: type[BaseModel], values: Any) -> Any:
    """`values` of YAML as the keys of `kind` want them."""
    if not isinstance(values, dict):
        return values
    return {key: _fitted_key(kind, key, value) for key, value in values.items()}


def plain_values(value: Any) -> Any:
    """Every Scalar in it as what YAML takes it for."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, dict):
        return {key: plain_values(inner) for key, inner in value.items()}
    return [plain_values(inner) for inner in value] if isinstance(value, list) else value


def _fitted_key(kind: type[BaseModel], key: str, value: Any) -> Any:
    field = kind.model_fields.get(key)
    if field is None:
        return plain_values(value)
    marks = tuple(field.metadata)
    return _fit(Annotated[(field.annotation, *marks)] if marks else field.annotation, value)


def _fit(wanted: Any, value: Any, inside: bool = False) -> Any:
    """`inside`: it is one of several, where `null` is a word like others."""
    if not isinstance(value, Scalar | dict | list):
        return value
    kinds = list(_kinds(wanted))
    marks = [mark for kind in kinds for mark in kind.marks]
    if any(isinstance(mark, Later) for mark in marks):
        return value
    if isinstance(value, Scalar):
        # What has its own validator instead of a type, as a method of `robust`, is read by that.
        return value if any(isinstance(mark, PlainValidator) for mark in marks) else _scalar(kinds, value, inside)
    for kind in kinds:
        if any(isinstance(mark, PlainValidator) for mark in kind.marks):
            if isinstance(value, dict):
                return value
        elif isinstance(value, dict) and isinstance(kind.type, type) and issubclass(kind.type, BaseModel):
            return fit_values(kind.type, value)
        elif isinstance(value, dict) and get_origin(kind.type) in (dict, Mapping):
            inner = get_args(kind.type)[1]
            return {key: _fit(inner, item, True) for key, item in value.items()}
        elif isinstance(value, list) and get_origin(kind.type) in (tuple, list, set, frozenset):
            return [_fit(_item(get_args(kind.type), index), item, True) for index, item in enumerate(value)]
    return plain_values(value)


def _item(types_of: tuple[Any, ...], index: int) -> Any:
    """The type of the item `index` of `tuple[a, ...]`, `tuple[a, b]` or `list[a]`."""
    return types_of[index] if index < len(types_of) and Ellipsis not in types_of else types_of[0]


def _kinds(wanted: Any, marks: tuple[Any, ...] = ()) -> Iterator[KeyType]:
    """The types that a key takes, of a union each, with the marks of `Annotated`."""
    if hasattr(wanted, "__value__"):  # `type Word = …`
        yield from _kinds(wanted.__value__, marks)
    elif isinstance(wanted, NewType):
        yield from _kinds(wanted.__supertype__, marks)
    elif get_origin(wanted) is Annotated:
        inner, *more = get_args(wanted)
        yield from _kinds(inner, (*marks, *more))
    elif get_origin(wanted) in (Union, types.UnionType):
        for kind in get_args(wanted):
            yield from _kinds(kind, marks)
    else:
        yield KeyType(wanted, marks)


def _scalar(kinds: list[KeyType], scalar: Scalar, inside: bool) -> Any:
    value, types_there = scalar.value, [kind.type for kind in kinds]
    words = [word for kind in kinds if get_origin(kind.type) is Literal for word in get_args(kind.type)]
    if value is None and type(None) in types_there:
        return None
    if not isinstance(value, str) and (fits := _number(types_there, words, value)) is not None:
        return _bounded(scalar, fits)
    if scalar.written in words:
        return scalar.written
    if texts := [kind for kind in kinds if kind.type in (str, Path)]:
        present = scalar.written if inside else value is not None
        return _text(texts[0], scalar) if present or isinstance(value, str) else scalar
    if all(alternative in OURS or get_origin(alternative) is Literal for alternative in types_there):
        counted = any(alternative in (int, float, bool) for alternative in types_there)
        return scalar if counted or not isinstance(value, str) else value
    return value  # of a list, a section or a type of others


def _number(types_there: list[Any], words: list[Any], value: Any) -> Any:
    """The boolean or number `value`, if that is what is wanted; None if not."""
    if any(type(word) is type(value) and word == value for word in words):
        return value
    if isinstance(value, bool):
        return value if bool in types_there else None
    if isinstance(value, int) and (int in types_there or float in types_there):
        return value
    if isinstance(value, float) and (int in types_there or float in types_there):
        return int(value) if float not in types_there and value.is_integer() else value
    return None


def _bounded(scalar: Scalar, value: Any) -> Any:
    if isinstance(value, int) and abs(value) > LARGEST:
        return replace(scalar, wrong="the number is too large")
    return value


def _text(kind: KeyType, scalar: Scalar) -> Any:
    """A text as it is written, a path with what `~` and variables stand for."""
    text = scalar.written
    if not text and not any(isinstance(mark, AfterValidator) for mark in kind.marks):  # which would judge it
        return replace(scalar, wrong="is empty")
    outside = next((mark for mark in (Text.ELSEWHERE, Text.BELOW) if mark in kind.marks), None)
    if kind.type is str and outside is None and Text.PATH not in kind.marks:
        return text
    try:
        if wrong := wrong_path(text) or (outside and not_put_in(text, outside.value)):
            return replace(scalar, wrong=wrong)
        return text if outside else expand_path(text)
    except ValueError as error:
        return replace(scalar, wrong=str(error))


def not_put_in(text: str, what: str) -> str:
    """Why a path, `what` kind of one, means nothing as it is written; empty where it is plain."""
    if text.startswith("~") or VARIABLE.search(text):
        return f"'{text}': is {what}, where '~' and '$' are not put in: write it out"
    return ""


def wrong_path(text: str) -> str:
    """Why no file can have this path; empty where one can."""
    if CONTROL.search(text):
        return "expected one line without control characters"
    names = [os.fsencode(part) for part in text.split("/")]
    if max(map(len, names)) > NAME_BYTES or len(os.fsencode(text)) > PATH_BYTES:
        return f"a path has at most {PATH_BYTES} bytes, and {NAME_BYTES} between two slashes"
    return ""


def path_of(given: str | Path) -> Path:
    """A given path, as `expanded`. Raises UserError."""
    try:
        return Path(expand_path(str(given)))
    except ValueError as error:
        raise UserError(str(error)) from None


def expand_path(text: str) -> str:
    """A path with the folders that `~`, `~name`, `$NAME` and `${NAME}` stand for. Raises ValueError for one that stands for
    none; an existing name with a dollar is taken as it is written."""
    unset = [name or braced for name, braced in VARIABLE.findall(text) if not os.environ.get(name or braced)]
    if unset:
        if os.path.lexists(text):
            return text
        raise ValueError(f"'{text}': the variable {unset[0] or '{}'} is not set")
    expanded = VARIABLE.sub(lambda match: os.environ[match[1] or match[2]], text)
    if expanded.startswith("~"):
        home = os.path.expanduser(expanded)
        if home.startswith("~"):
            if os.path.lexists(text):
                return text
            raise ValueError(f"'{text}': there is no user '{expanded[1:].split('/')[0]}' here; ./~ is a file of such a name")
        return home
    return expanded
