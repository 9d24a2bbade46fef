"""Every task: one entry, in the file of its family. Tables, documentation, readers, heads and tests read the same value."""

from pathlib import Path

from xdist.errors import UserError, unknown
from xdist.tasks.catalog import choice, classification, demo, dual, intermediate, language_model, retrieval, span_qa, tagging
from xdist.tasks.catalog.task import Hub, Task
from xdist.tasks.catalog.user import user_tasks

__all__ = ["TASKS", "XTREME_R", "Hub", "Task", "task"]

TASKS: dict[str, Task] = {
    entry.name: entry
    for entries in (demo, classification, intermediate, choice, tagging, span_qa, dual, retrieval, language_model)
    for entry in entries.TASKS
}

# The ten tasks whose mean is the score of XTREME-R (Ruder et al. 2021, arXiv 2104.07412).
XTREME_R = ("xnli", "xcopa", "udpos", "panx", "xquad", "mlqa", "tydiqa", "tatoeba", "mewslix", "lareqa")


def task(name: str, described: Path | None = None) -> Task:
    """The entry of a task, of the catalog or of the file of tasks `described`. Raises UserError with the nearest name."""
    known = {**TASKS, **user_tasks(described, tuple(TASKS))} if described else TASKS
    try:
        return known[name]
    except KeyError:
        raise UserError(unknown("task", name, known)) from None
