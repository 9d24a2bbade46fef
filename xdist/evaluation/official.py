"""Scores of a prediction folder that someone else made, by the official metrics, against gold that is really there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from xdist.errors import UserError, unknown
from xdist.evaluation import submission
from xdist.evaluation.scores import summary
from xdist.formats import parallel
from xdist.metrics import metric
from xdist.metrics.average import Average, Variant, benchmark
from xdist.tasks.catalog import TASKS, XTREME_R, Task, known, task
from xdist.tasks.catalog.task import POOL
from xdist.tasks.family import family_of


def score_folder(
    predictions: Path,
    gold_root: Path,
    split: Literal["dev", "test"] = "test",
    partial: bool = False,
    described: Path | None = None,
) -> dict[str, Any]:
    """The scores of all task folders in `predictions`, as `scores.json` holds them, against the files below `gold_root`; tasks
    are those of the catalog and of the file `described`; `of` says how many languages each has, `notes` what is worth knowing
    of how they were read.

    Every language of a task must be there, unless `partial`: then the mean is over those that are. Raises UserError that names
    the file and, where there is one, the line: an unknown task, language or file; a language that is missing; predictions that
    are missing, too many, twice or of the wrong size; gold that is missing or blanked.
    """
    if not predictions.is_dir():
        raise UserError(f"{predictions}: no such folder")
    folders = sorted(entry for entry in predictions.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise UserError(f"{predictions}: holds no task folder such as {predictions / 'xnli'}")
    found = {folder: _task(folder, described) for folder in folders}
    languages = {folder: _languages(folder, entry, split, partial) for folder, entry in found.items()}
    return {
        "run": predictions.resolve().name,
        "tasks": {
            entry.name: summary(entry, split, [], dict(_scored(predictions, gold_root, entry, split, languages[folder])))
            | {"of": len(entry.languages), "notes": _notes(gold_root, entry, split, languages[folder])}
            for folder, entry in found.items()
        },
    }


def average(scores: dict[str, Any], variant: Variant = "official") -> Average:
    """The mean over the ten tasks of XTREME-R, each over exactly its languages, which is of test sets alone."""
    official = TASKS.ours()
    languages = {name: official[name].languages for name in XTREME_R}
    metrics = {name: metric(official[name].metric) for name in languages}
    return benchmark(
        {name: entry["languages"] for name, entry in scores["tasks"].items() if entry["split"] == "test"},
        languages,
        metrics,
        variant,
    )


def _task(folder: Path, described: Path | None) -> Task:
    if folder.name not in (entries := known(described)):
        hint = "" if described else "; a task of your own needs --tasks TASKS.yaml or --plugin FILE"
        raise UserError(f"{folder}: {unknown('task', folder.name, entries)}{hint}")
    entry = task(folder.name, described)
    if not entry.scorable:
        raise UserError(f"{folder}: task '{entry.name}' is trained, not evaluated")
    return entry


def _languages(folder: Path, entry: Task, split: str, partial: bool) -> list[str]:
    """The languages that have a file, in the task's order."""
    if split not in entry.files:
        raise UserError(f"{folder}: task '{entry.name}': {unknown('split', split, entry.files)}")
    expected = {submission.path(folder.parent, entry, split, code).name: code for code in entry.languages}
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    for name in names:
        if name not in expected:
            raise UserError(f"{folder / name}: {unknown('prediction file', name, expected)}")
    missing = [name for name in expected if name not in names]
    if not names or (missing and not partial):
        what = f"{len(names)} of {len(expected)} languages are there; to score those alone: --partial"
        raise UserError(f"{folder / missing[0]}: no such file ({what})")
    return [code for name, code in expected.items() if name in names]


def _scored(
    predictions: Path, gold_root: Path, entry: Task, split: str, languages: list[str]
) -> Iterator[tuple[str, dict[str, float]]]:
    family = family_of(entry)
    candidates = None
    if entry.pool and not (_missing_pool(gold_root, entry)):
        candidates = {found.id for code in entry.pool for _, found in entry.examples(gold_root, POOL, code)}
    for code in languages:
        examples = list(entry.examples(gold_root, split, code))
        given = submission.read(submission.path(predictions, entry, split, code), entry, examples, candidates)
        scores = family.score(given, examples, code)
        if not scores:
            path = entry.paths(gold_root, split, code)[-1]
            raise UserError(f"{path}: the gold is blanked, as the official download leaves it: nothing to score against")
        yield code, {**scores, "count": len(given)}


def _missing_pool(gold_root: Path, entry: Task) -> Path | None:
    """A file of candidates that is not there."""
    paths = (path for code in entry.pool for path in entry.paths(gold_root, POOL, code))
    return next((path for path in paths if not path.is_file()), None)


def _notes(gold_root: Path, entry: Task, split: str, languages: list[str]) -> list[str]:
    """What else than the numbers is to be known: which way rows point, and what could not be checked."""
    notes = []
    if entry.predicts == "sentence-retrieval":
        other, own = (Path(pattern.format(language="xx", name="xx")).name for pattern in entry.files[split][:2])
        notes.append(f"line i of a prediction file names the row, from 0, of {other} that translates line i of {own}")
        paths = {code: entry.paths(gold_root, split, code) for code in languages}
        turned = [code for code, found in paths.items() if len(found) == 3 and parallel.turned(*found)]
        if turned:
            notes.append(f"gold that goes from the rows of {other} to those of {own} was turned round: {', '.join(turned)}")
    if entry.pool and (path := _missing_pool(gold_root, entry)):
        notes.append(f"whether the ids are those of candidates was not checked: {path}: no such file")
    return notes
