"""Every task: one entry, in the file of its family. Tables, documentation, readers, heads and tests read the same value.

Ours are registered by the same call as those of plugins.
"""

from collections.abc import Collection
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from xdist import plugins
from xdist.errors import UserError
from xdist.files import digest
from xdist.tasks.catalog import (
    choice,
    classification,
    demo,
    dual,
    intermediate,
    language_model,
    parallel,
    retrieval,
    span_qa,
    tagging,
    translated,
    xglue,
)
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.labels import is_open, said_labels, with_found_labels, with_labels
from xdist.tasks.catalog.shipped import shipped_tasks
from xdist.tasks.catalog.task import TASKS, Task, register, splits
from xdist.tasks.catalog.user import line_of, user_tasks
from xdist.tasks.families import FAMILIES

__all__ = [
    "TASKS",
    "XTREME_R",
    "Hub",
    "Task",
    "is_open",
    "known_tasks",
    "register",
    "said_labels",
    "sharing",
    "splits",
    "task",
    "unchecked",
    "with_found_labels",
    "with_labels",
]

# A task for everyone is an entry in one of these files.
for entries in (
    demo,
    classification,
    intermediate,
    choice,
    tagging,
    span_qa,
    dual,
    retrieval,
    language_model,
    translated,
    xglue,
):
    for entry in entries.TASKS:
        register(entry)
for entry in (*shipped_tasks(), *parallel.TASKS):
    register(entry)

# The ten tasks whose mean is the score of XTREME-R (Ruder et al. 2021, arXiv 2104.07412).
XTREME_R = ("xnli", "xcopa", "udpos", "panx", "xquad", "mlqa", "tydiqa", "tatoeba", "mewslix", "lareqa")


Share = Literal["family", "task"]


@lru_cache
def sharing(entry: Task, share: Share) -> Task:
    """`entry` with the head of the task that it is trained on, or of all tasks of its family (and labels): the same value each
    time. Dual encoders keep theirs, since rows that are distinguished belong to one task."""
    if entry.family == "dual-encoder":
        return entry
    if share == "task":
        return replace(entry, shared_head=entry.trained_on[-1] if entry.trained_on else entry.name)
    return replace(entry, shared_head=f"{entry.family}-{digest(entry.labels)[:6]}" if entry.labels else entry.family)


def known_tasks(
    described: Path | None = None, named: Collection[str] | None = None, root: Path | None = None
) -> dict[str, Task]:
    """The tasks that are registered, as far as plugins that are `named` provide them (`Registry.get`), and after them those of
    the file of tasks `described`, with the labels of their files below `root` where it names none. Raises UserError for what
    is none, and as `with_found_labels` does."""
    plugins.load_offered()
    found = TASKS.there(named)
    own = user_tasks(described, tuple(found))
    own = {name: with_found_labels(one, root) for name, one in own.items()} if root else own
    return {name: _brought(one) for name, one in found.items()} | own


def task(name: str, described: Path | None = None, named: Collection[str] | None = None, root: Path | None = None) -> Task:
    """The task of that name, one of `known_tasks`, with the labels of its files below `root` where its description names none.
    Raises UserError with the nearest name, for a task whose family or metric is missing or that the metric does not fit,
    and as `with_found_labels` does."""
    found = unchecked(name, described, named)
    if root:
        found = with_found_labels(found, root)
    try:
        found.check(named)
    except UserError as error:
        where = line_of(described, name, "metric") if described and name in user_tasks(described) else f"task '{name}'"
        raise UserError(f"{where}: {error}") from None
    return found


def unchecked(name: str, described: Path | None = None, named: Collection[str] | None = None) -> Task:
    """The same, for any metric: its rows need none."""
    own = user_tasks(described, tuple(TASKS.there(named)))
    return own.get(name) or _brought(TASKS.get(name, named, beside=own))


def _brought(entry: Task) -> Task:
    """`entry` with the plugins that provide it and its family; the same value each time. Raises UserError as `plugin` does."""
    try:
        brought = dict.fromkeys((TASKS.plugin(entry.name), FAMILIES.plugin(entry.family)))
    except UserError as error:
        raise UserError(f"task '{entry.name}' comes from {error}") from None
    return _with(entry, tuple(filter(None, brought)))


@cache
def _with(entry: Task, brought: tuple[str, ...]) -> Task:
    return replace(entry, plugins=brought) if brought else entry
