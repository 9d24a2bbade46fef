"""The labels of a task whose description names none: those of its training files, in alphabetical order."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from xdist.errors import UserError
from xdist.formats.layout import Layout
from xdist.tasks.catalog.task import Task

SHOWN = 20
MOST = 1000  # of more a head is not made by error: their column may hold texts


def is_open(entry: Task) -> bool:
    """Whether the labels of a task are still to be found."""
    return isinstance(entry.read, Layout) and not entry.labels and entry.read.family in ("classification", "tagging")


@cache
def with_found_labels(entry: Task, root: Path) -> Task:
    """`entry` with the labels of its training files below `root`, of all languages that have one; the same value each time; as
    it is where it has labels, or where there is no `root`, as on a machine without the data. Raises UserError where there
    is no such file, and as its reader does."""
    if not is_open(entry) or not root.is_dir():
        return entry
    there = [code for code in entry.languages if entry.is_there(root, "train", code)]
    if not there:
        (path, *_) = entry.paths(root, "train", entry.languages[0])
        raise UserError(f"{path}: no such file: task '{entry.name}' names no `labels`; add the file or name them")
    found: set[str] = set()
    for code in there:
        for example in entry.examples(root, "train", code):
            found.update(example.tags if entry.read.family == "tagging" else [example.label])  # type: ignore[union-attr]
            if len(found) > MOST:
                (path, *_) = entry.paths(root, "train", code)
                raise UserError(
                    f"{path}: more than {MOST} labels, such as '{example}': name the `labels` of task '{entry.name}'"
                )
    return with_labels(entry, tuple(sorted(found)))


def said_labels(tasks: Iterable[Task]) -> list[str]:
    """A line on each of `tasks` whose labels were found."""
    return [
        f"labels of {one.name} found in its training files: {', '.join(one.labels[:SHOWN])}"
        + (f" and {len(one.labels) - SHOWN} more" if len(one.labels) > SHOWN else "")
        for one in dict.fromkeys(tasks)
        if one.labels_found
    ]


@cache
def with_labels(entry: Task, labels: tuple[str, ...]) -> Task:
    """`entry` with labels that were found; the same value each time, `entry` itself where it has its own."""
    if not is_open(entry) or not labels:
        return entry
    hub = entry.hub
    if hub and isinstance(hub.columns, Layout):
        hub = replace(hub, columns=replace(hub.columns, labels=labels))
    return replace(entry, labels=labels, labels_found=True, hub=hub, read=replace(entry.read, labels=labels))  # type: ignore[type-var]
