"""Every task: one entry, in the file of its family. Tables, documentation, readers, heads and tests read the same value."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from xdist.errors import UserError, unknown
from xdist.files import digest
from xdist.tasks.catalog import choice, classification, demo, dual, intermediate, language_model, retrieval, span_qa, tagging
from xdist.tasks.catalog.task import Hub, Task
from xdist.tasks.catalog.user import line_of, user_tasks

__all__ = ["TASKS", "XTREME_R", "Hub", "Task", "known", "sharing", "task"]

TASKS: dict[str, Task] = {
    entry.name: entry
    for entries in (demo, classification, intermediate, choice, tagging, span_qa, dual, retrieval, language_model)
    for entry in entries.TASKS
}

# The ten tasks whose mean is the score of XTREME-R (Ruder et al. 2021, arXiv 2104.07412).
XTREME_R = ("xnli", "xcopa", "udpos", "panx", "xquad", "mlqa", "tydiqa", "tatoeba", "mewslix", "lareqa")


Share = Literal["family", "task"]


@lru_cache
def sharing(entry: Task, share: Share) -> Task:
    """`entry` with the head of the task that it is trained on, or of all tasks of its family (and labels): the same value each
    time. Dual encoders keep theirs, since rows that are told apart belong to one task."""
    if entry.family == "dual-encoder":
        return entry
    if share == "task":
        return replace(entry, shared_head=entry.trained_on[-1] if entry.trained_on else entry.name)
    return replace(entry, shared_head=f"{entry.family}-{digest(entry.labels)[:6]}" if entry.labels else entry.family)


def known(described: Path | None = None) -> dict[str, Task]:
    """The tasks of the catalog, and after them those of the file of tasks `described`. Raises UserError for what is none."""
    return {**TASKS, **user_tasks(described, tuple(TASKS))} if described else TASKS


def task(name: str, described: Path | None = None) -> Task:
    """The entry of a task, of the catalog or of the file of tasks `described`. Raises UserError with the nearest name, and for
    a task whose metric is not there or does not fit it."""
    found = known(described)
    if name not in found:
        raise UserError(unknown("task", name, found))
    try:
        found[name].check_metric()
    except UserError as error:
        where = line_of(described, name, "metric") if described and name not in TASKS else f"task '{name}'"
        raise UserError(f"{where}: {error}") from None
    return found[name]
