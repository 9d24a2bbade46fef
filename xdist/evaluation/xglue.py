"""The official folders of XGLUE: NER/xx.prediction, POS/xx.prediction … for predictions that anyone made.

A prediction a line, as xdist writes them; tags a line with a blank line between sentences; MLQA is JSON {question id: answer}.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from xdist.errors import UserError, unknown
from xdist.evaluation import submission
from xdist.formats.lines import is_blank, read_lines
from xdist.tasks.catalog import Task
from xdist.tasks.catalog.xglue import FOLDERS

ENDING = ".prediction"
Split = Literal["dev", "test"]


def task_of(folder: str) -> str | None:
    """The task whose predictions an official folder of this name holds."""
    return next((name for name, official in FOLDERS.items() if official == folder), None)


def predictions_path(folder: Path, task: Task, split: str, language: str) -> Path:
    """The files of dev and test have one name: they are kept in their own folders."""
    return folder / FOLDERS[task.name] / f"{language}{ENDING}"


def read_predictions(path: Path, task: Task, examples: Sequence[Any]) -> Any:
    """As `submission.read_predictions`; tags that are missing at the end of a sentence are O, as the official
    scorer fills them in."""
    return _tags(path, task, examples) if task.family == "tagging" else submission.read_predictions(path, task, examples)


def _tags(path: Path, task: Task, examples: Sequence[Any]) -> list[list[str]]:
    known = {*task.labels, "O"}
    sentences: list[list[tuple[int, str]]] = [[]]
    for number, line in read_lines(path):
        if not is_blank(line):
            sentences[-1].append((number, line.strip()))
        elif sentences[-1]:
            sentences.append([])
    sentences = [sentence for sentence in sentences if sentence]
    if len(sentences) != len(examples):
        raise UserError(f"{path}: {len(sentences)} sentences, expected {len(examples)}")
    for place, (sentence, example) in enumerate(zip(sentences, examples, strict=True), start=1):
        if len(sentence) > len(example.words):
            where = f"sentence {place} of {len(examples)} has {len(example.words)} words"
            raise UserError(f"{path}:{sentence[len(example.words)][0]}: one tag too many: {where}")
        for at, tag in sentence:
            if tag not in known:
                raise UserError(f"{path}:{at}: {unknown('tag', tag, task.labels)}")
    lacking = (len(example.words) - len(sentence) for sentence, example in zip(sentences, examples, strict=True))
    return [[tag for _, tag in sentence] + ["O"] * more for sentence, more in zip(sentences, lacking, strict=True)]
