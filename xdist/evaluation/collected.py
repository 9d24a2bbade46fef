"""Predictions of runs in the folders that a benchmark takes: of XTREME-R xnli/test-xx.tsv, of XGLUE NER/xx.prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from xdist.config import recorded_run
from xdist.errors import UserError
from xdist.evaluation import submission, xglue
from xdist.evaluation.xglue import Split
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import Task, known_tasks
from xdist.tasks.catalog.xglue import FOLDERS


@dataclass(frozen=True, slots=True)
class Collected:
    """What was written of a task, below a folder of that name: languages that exist, and those of the task that are not."""

    task: Task
    folder: str
    there: tuple[str, ...]
    missing: tuple[str, ...]


def collect_predictions(runs: Sequence[Path], out: Path, split: Split) -> list[Collected]:
    """Copy the predictions of `split` in run folders into `out`, which must not hold anything. Raises UserError for what is no
    run with predictions, and for a task that several runs predicted."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: already exists and is not empty: choose another folder")
    found = {name: pair for folder in runs for name, pair in _tasks(folder, split, runs).items()}
    if not found:
        raise UserError(f"{', '.join(map(str, runs))}: no predictions of {split}")
    collected = []
    for entry, where in sorted(found.values(), key=lambda pair: pair[0].name):
        path = xglue.predictions_path if entry.name in FOLDERS else submission.predictions_path
        sources = {code: submission.predictions_path(where.predictions, entry, split, code) for code in entry.languages}
        there = tuple(code for code, source in sources.items() if source.is_file())
        for code in there:
            target = path(out, entry, split, code)
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(sources[code], target)
        missing = tuple(code for code in entry.languages if code not in there)
        collected.append(Collected(entry, FOLDERS.get(entry.name, entry.name), there, missing))
    return collected


def _tasks(folder: Path, split: Split, runs: Sequence[Path]) -> dict[str, tuple[Task, RunFolder]]:
    """The tasks that the run in `folder` has predictions of. Raises UserError where another of `runs` has them too."""
    where = RunFolder(folder)
    if not where.config.is_file() or not where.predictions.is_dir():
        raise UserError(f"{folder}: is no run folder with predictions; a run has them once it has been evaluated")
    run = recorded_run(where.config)
    tasks = known_tasks(run.data.tasks, run.plugins)
    found = {}
    for place in sorted(where.predictions.iterdir()):
        if place.name not in tasks or not any(place.glob(f"{split}-*")):
            continue
        for other in runs:
            if other != folder and any((RunFolder(other).predictions / place.name).glob(f"{split}-*")):
                raise UserError(f"{place} and {RunFolder(other).predictions / place.name}: give one run for each task")
        found[place.name] = (tasks[place.name], where)
    return found
