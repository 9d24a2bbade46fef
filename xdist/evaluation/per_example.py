"""What a run got right, example by example: its predictions against the gold of the data that it was evaluated on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.config import Run, load_run
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.files import read_json
from xdist.metrics.counts import Rows
from xdist.runtime.run_folder import RunFolder
from xdist.tasks.catalog import Task, task
from xdist.tasks.family import family_of


@dataclass(frozen=True, slots=True)
class Scored:
    """One task of a run: `trained_on` its training languages, `rows` by language the rows of its metric's `per_example`."""

    task: Task
    split: str
    trained_on: tuple[str, ...]
    rows: dict[str, Rows]


class Gold:
    """The examples of test sets, each read once however many runs are looked at."""

    def __init__(self) -> None:
        self._examples: dict[tuple[Path, str, str, str], list[Any]] = {}

    def examples(self, run: Run, entry: Task, split: str, language: str) -> list[Any]:
        key = (run.data.root, entry.name, split, language)
        if key not in self._examples:
            self._examples[key] = list(entry.examples(run.data.root, split, language))
        return self._examples[key]


def scored(folder: Path, gold: Gold, only: str | None = None) -> dict[str, Scored]:
    """Every task that the run in `folder` has scores of, or that one `only`, by name. Raises UserError for what is no run that
    was evaluated, and for predictions that do not fit the gold."""
    where = RunFolder(folder)
    if not where.config.is_file() or not where.scores.is_file():
        raise UserError(f"{folder}: is no run folder with scores; a run has them once it has been evaluated")
    run = load_run(where.config)
    found: dict[str, Scored] = {}
    for name, entry in read_json(where.scores)["tasks"].items():
        if only not in (None, name):
            continue
        one = task(name, run.data.tasks)
        family, split = family_of(one), entry["split"]
        rows: dict[str, Rows] = {}
        for code in entry["languages"]:
            examples = gold.examples(run, one, split, code)
            predictions = submission.read(submission.path(where.predictions, one, split, code), one, examples)
            if (of_language := family.per_example(predictions, examples, code)) is not None:
                rows[code] = of_language
        found[name] = Scored(one, split, tuple(entry["trained_on"]), rows)
    return found
