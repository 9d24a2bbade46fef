"""Predictions in the submission layout of XTREME-R: a folder per task, a file `test-xx.EXT` per language."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdist.files import write_text
from xdist.tasks.catalog import Task


def path(folder: Path, task: Task, split: str, language: str) -> Path:
    return folder / task.name / f"{split}-{language}.{task.extension}"


def write(path: Path, task: Task, predictions: Sequence[Any]) -> None:
    """One label, index or tag per line; sentences of tags are separated by a blank line."""
    if task.family == "tagging":
        text = "\n\n".join("\n".join(tags) for tags in predictions) + "\n"
    else:
        text = "".join(f"{prediction}\n" for prediction in predictions)
    write_text(path, text)
