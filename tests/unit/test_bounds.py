"""Every number that YAML may give has a least and a largest value, so that none is found impossible after hours."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from xdist.config import Run, Study
from xdist.config.fitting import _kinds
from xdist.config.method import METHODS
from xdist.launch.clusters import KINDS
from xdist.tasks.catalog.user import UserTasks


def numbers(kind: type[BaseModel], where: str, seen: set[type[BaseModel]]) -> Iterator[tuple[str, list[Any]]]:
    """Each number of `kind` and of sections inside it, with what bounds it."""
    if kind in seen:
        return
    seen.add(kind)
    for name, field in kind.model_fields.items():
        wanted: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        yield from numbers_of(wanted, f"{where}.{name}", seen)


def numbers_of(wanted: Any, where: str, seen: set[type[BaseModel]]) -> Iterator[tuple[str, list[Any]]]:
    for kind in _kinds(wanted):
        if isinstance(kind.type, type) and issubclass(kind.type, BaseModel):
            yield from numbers(kind.type, where, seen)
        elif kind.type in (int, float):
            inner = [one for mark in kind.marks for one in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
            yield where, inner
        elif get_origin(kind.type) in (tuple, list, dict):
            for one in get_args(kind.type):
                if one is not Ellipsis:
                    yield from numbers_of(one, f"{where}[]", seen)


DESCRIBED = [Run, Study, UserTasks, *METHODS.ours().values(), *(kind.options for kind in KINDS.ours().values())]


@pytest.mark.parametrize("kind", DESCRIBED, ids=lambda kind: kind.__name__)
def test_every_number_has_two_bounds(kind: type[BaseModel]) -> None:
    for where, marks in numbers(kind, kind.__name__, set()):
        for least_or_largest in (("ge", "gt"), ("le", "lt")):
            assert any(hasattr(mark, word) for mark in marks for word in least_or_largest), where


def test_the_walk_finds_them() -> None:
    found = dict(numbers(Run, "Run", set()))
    assert {"Run.seed", "Run.train.schedule[].weights[]", "Run.model.dropout", "Run.runtime.ranks"} <= set(found)
