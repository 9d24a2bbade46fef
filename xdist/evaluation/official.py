"""Scores of a prediction folder that someone else made, by the official metrics, against gold that is really there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xdist.data.subset import Subset
from xdist.errors import UserError, unknown
from xdist.evaluation import submission, xglue
from xdist.evaluation.made_of import files_of
from xdist.evaluation.scores import summary
from xdist.files import Digests, file_digest
from xdist.formats import parallel
from xdist.formats.xglue import LEFT_OUT
from xdist.languages import NOBODY_KNOWS
from xdist.metrics import metric
from xdist.metrics.average import Average, Variant, benchmark
from xdist.run.recorded import recorded_scores
from xdist.run.signature import signature
from xdist.tasks.catalog import TASKS, XTREME_R, Task, known_tasks, task
from xdist.tasks.catalog.task import POOL
from xdist.tasks.catalog.xglue import averages
from xdist.tasks.family import family_of
from xdist.version import __version__

_BY = {"xdist": __version__}


@dataclass(frozen=True, slots=True)
class PredictionFolder:
    """Predictions of one task: in the layout of XTREME-R, or in that of XGLUE under the names of its release. `notes`: what of
    it is left out."""

    place: Path
    task: Task
    path: Callable[[Path, Task, str, str], Path]
    read: Callable[..., Any]
    notes: list[str] = field(default_factory=list)

    def file(self, split: str, language: str) -> Path:
        return self.path(self.place.parent, self.task, split, language)


def score_folder(
    predictions: Path,
    gold_root: Path,
    split: Literal["dev", "test"] = "test",
    partial: bool = False,
    described: Path | None = None,
) -> dict[str, Any]:
    """The scores of all task folders in `predictions`, those of XGLUE by its names too (NER, POS …), as `scores.json` holds
    them, against the files below `gold_root`; tasks are those of the catalog and of the file `described`; `of` says how many
    languages each has, `notes` what is worth knowing of how they were read, `signature` what its score was made of.

    Every language of a task must be there, unless `partial`: then the mean is over those that are. Raises UserError that names
    the file and, where there is one, the line: an unknown task, language or file; a language that is missing; predictions that
    are missing, too many, twice or of the wrong size; gold that is missing or blanked.
    """
    if not predictions.is_dir():
        raise UserError(f"{predictions}: no such folder")
    folders = sorted(entry for entry in predictions.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise UserError(f"{predictions}: holds no task folder such as {predictions / 'xnli'}")
    notes = [f"{folder.name} needs a decoder: skipped" for folder in folders if folder.name in LEFT_OUT]
    found = [_folder(folder, described, gold_root) for folder in folders if folder.name not in LEFT_OUT]
    names = [one.task.name for one in found]
    for one in found:
        if names.count(one.task.name) > 1:
            raise UserError(f"{one.place}: '{one.task.name}' has two folders")
    languages = {one.task.name: _languages(one, split, partial) for one in found}
    tasks = {}
    for one in found:
        codes = languages[one.task.name]
        entry = summary(one.task, split, [], dict(_scored(one, gold_root, split, codes)))
        signed = {"signature": signature(one.task.name, {**entry, "made_of": _made_of(one, gold_root, split, codes)}, _BY)}
        more = {"of": len(one.task.languages), "notes": [*one.notes, *_notes(gold_root, one.task, split, codes)], **signed}
        tasks[one.task.name] = entry | more
    found_means = averages({name: entry["languages"] for name, entry in tasks.items()})
    means = {f"xglue {name}": {"mean": one.value, "of": str(one)} for name, one in found_means.items()}
    more = {"averages": means} if means else {}
    about = {"run": predictions.resolve().name, **_pretraining(predictions.resolve().parent / "scores.json")}
    return {**about, "tasks": tasks, **more, **({"notes": notes} if notes else {})}


def _made_of(one: PredictionFolder, gold_root: Path, split: str, languages: list[str]) -> dict[str, Any]:
    """The digests that a run has of its own predictions and gold."""
    digests = Digests()
    return {
        "pieces": {
            f"{split} {code}": {
                "files": files_of(gold_root, Subset(one.task, split, code), digests),
                "predictions": file_digest(one.file(split, code)),
            }
            for code in languages
        }
    }


def _pretraining(beside: Path) -> dict[str, Any]:
    """What the encoder of the predictions has read, as the run that they are in says it; of others it is not known."""
    if not beside.is_file():
        return {"pretraining": NOBODY_KNOWS.record}
    found = recorded_scores(beside).get("pretraining")
    return {"pretraining": found} if found else {}


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


def _folder(folder: Path, described: Path | None, gold_root: Path) -> PredictionFolder:
    entries = known_tasks(described)
    if folder.name not in entries and (name := xglue.task_of(folder.name)):
        return PredictionFolder(folder, task(name), xglue.path, xglue.read)
    if folder.name not in entries:
        hint = "" if described else "; your own task needs --tasks TASKS.yaml or --plugin FILE"
        raise UserError(f"{folder}: {unknown('task', folder.name, entries)}{hint}")
    entry = task(folder.name, described, root=gold_root)
    if not entry.scorable:
        raise UserError(f"{folder}: task '{entry.name}' is trained, not evaluated")
    return PredictionFolder(folder, entry, submission.path, submission.read)


def _languages(one: PredictionFolder, split: str, partial: bool) -> list[str]:
    """The languages that have a file, in the task's order."""
    folder, entry = one.place, one.task
    if split not in entry.files:
        raise UserError(f"{folder}: task '{entry.name}': {unknown('split', split, entry.files)}")
    expected = {one.file(split, code).name: code for code in entry.languages}
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    for name in names:
        if name in expected:
            continue
        # The folder that XGLUE's own baseline was published in holds a language more.
        if one.read is xglue.read and name.endswith(xglue.ENDING):
            one.notes.append(f"{folder.name}/{name} is of no language of the task: skipped")
            continue
        raise UserError(f"{folder / name}: {unknown('prediction file', name, expected)}")
    missing = [name for name in expected if name not in names]
    if len(missing) == len(expected) or (missing and not partial):
        what = f"{len(expected) - len(missing)} of {len(expected)} languages have files; to score those alone: --partial"
        raise UserError(f"{folder / missing[0]}: no such file ({what})")
    return [code for name, code in expected.items() if name in names]


def _scored(one: PredictionFolder, gold_root: Path, split: str, languages: list[str]) -> Iterator[tuple[str, dict[str, float]]]:
    entry = one.task
    family = family_of(entry)
    candidates = None
    if entry.pool and not (_missing_pool(gold_root, entry)):
        candidates = {found.id for code in entry.pool for _, found in entry.examples(gold_root, POOL, code)}
    for code in languages:
        examples = list(entry.examples(gold_root, split, code))
        given = one.read(one.file(split, code), entry, examples, *([candidates] if entry.pool else []))
        scores = family.score(given, examples, code)
        if not scores:
            path = entry.paths(gold_root, split, code)[-1]
            raise UserError(f"{path}: the gold is blanked, as the official download leaves it: nothing to score against")
        yield code, {**scores, "count": family.count_of(given)}


def _missing_pool(gold_root: Path, entry: Task) -> Path | None:
    """A file of candidates that is missing."""
    paths = (path for code in entry.pool for path in entry.paths(gold_root, POOL, code))
    return next((path for path in paths if not path.is_file()), None)


def _notes(gold_root: Path, entry: Task, split: str, languages: list[str]) -> list[str]:
    """What else than the numbers is to be known: which way rows point, and what could not be checked."""
    notes = []
    if entry.predicts == "sentence-retrieval":
        other, own = (Path(pattern.format(language="xx", name="xx")).name for pattern in entry.files[split][:2])
        notes.append(f"line i of a prediction file names the row, from 0, of {other} that translates line i of {own}")
        paths = {code: entry.paths(gold_root, split, code) for code in languages}
        turned = [code for code, found in paths.items() if len(found) == 3 and parallel.is_turned(*found)]
        if turned:
            notes.append(f"gold that goes from the rows of {other} to those of {own} was turned round: {', '.join(turned)}")
    if entry.pool and (path := _missing_pool(gold_root, entry)):
        notes.append(f"whether the ids are those of candidates was not checked: {path}: no such file")
    return notes
