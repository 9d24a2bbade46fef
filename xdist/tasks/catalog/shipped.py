"""The catalog's sets of many languages, which rare.yaml describes as a user describes their own tasks."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import Field

from xdist.config.loading import load
from xdist.config.section import Section
from xdist.formats import parallel
from xdist.formats.columns import Columns
from xdist.tasks.catalog.building import build_task
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import NEED_GOLD, Task
from xdist.tasks.catalog.user import HubCopy, UserTask

PLACE = Path(__file__).with_name("rare.yaml")


class ShippedCopy(HubCopy):
    """Its `codes` are its own; without any it has those of the task, for any names of files."""

    lacks: tuple[str, ...] = Field((), description="languages that it does not have")
    checked: bool = False


class ShippedTask(UserTask):
    """In `languages`, `@name` stands for the codes of a list."""

    shares: str = Field("", description="the set whose sentences it has")
    verses: bool = Field(
        False, description="its files are the eBible corpus': `<range>` marks a verse whose text another line has"
    )
    hub: ShippedCopy | None = None


class ShippedTasks(Section):
    lists: dict[str, str]
    tasks: dict[str, ShippedTask]


@cache
def shipped_tasks() -> tuple[Task, ...]:
    found, _ = load(ShippedTasks, PLACE)
    return tuple(_task(name, entry, found.lists) for name, entry in found.tasks.items())


def _task(name: str, entry: ShippedTask, lists: Mapping[str, str]) -> Task:
    codes = (code for word in entry.languages for code in (lists[word[1:]].split() if word.startswith("@") else (word,)))
    one = build_task(name, entry.model_copy(update={"languages": tuple(codes)}))
    read = parallel.read_verses if entry.verses else one.read
    # As for all of the catalog, a test file may hold no gold: it is predicted then.
    return replace(one, read=read, shares=entry.shares, hub=_copy(one, entry.hub), need_gold=NEED_GOLD)


def _copy(one: Task, copy: ShippedCopy | None) -> Hub | None:
    if one.hub is None or copy is None:
        return None
    hub = replace(one.hub, codes=copy.codes, lacks=copy.lacks, checked=copy.checked)
    if one.family != "sentence-retrieval":
        return hub
    foreign, pivot = (str(copy.columns[role]) for role in ("text1", "text2"))
    columns = {
        "foreign": Columns(kind="sentence", texts=(foreign,)),
        "english": Columns(kind="aligned", texts=(pivot,)),
    }
    return replace(hub, columns=columns)
