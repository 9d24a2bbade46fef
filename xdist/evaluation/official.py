"""Scores of a prediction folder that someone else made, by the official metrics, against gold that is really there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xdist.data.subset import Subset
from xdist.errors import UserError, unknown
from xdist.evaluation import submission, xglue
from xdist.evaluation.made_of import files_digest
from xdist.evaluation.scores import summarise_task
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
    folders_of_tasks = [_folder(folder, described, gold_root) for folder in folders if folder.name not in LEFT_OUT]
    names = [predicted.task.name for predicted in folders_of_tasks]
    for predicted in folders_of_tasks:
        if names.count(predicted.task.name) > 1:
            raise UserError(f"{predicted.place}: '{predicted.task.name}' has two folders")
    languages = {predicted.task.name: _languages(predicted, split, partial) for predicted in folders_of_tasks}
    tasks = {}
    for predicted in folders_of_tasks:
        codes = languages[predicted.task.name]
        entry = summarise_task(predicted.task, split, [], dict(_score_languages(predicted, gold_root, split, codes)))
        signed = {
            "signature": signature(
                predicted.task.name, {**entry, "made_of": _digests_of(predicted, gold_root, split, codes)}, _BY
            )
        }
        more = {
            "of": len(predicted.task.languages),
            "notes": [*predicted.notes, *_notes(gold_root, predicted.task, split, codes)],
            **signed,
        }
        tasks[predicted.task.name] = entry | more
    found_means = averages({name: entry["languages"] for name, entry in tasks.items()})
    means = {f"xglue {name}": {"mean": mean.value, "of": str(mean)} for name, mean in found_means.items()}
    more = {"averages": means} if means else {}
    about = {"run": predictions.resolve().name, **_pretraining(predictions.resolve().parent / "scores.json")}
    return {**about, "tasks": tasks, **more, **({"notes": notes} if notes else {})}


def _digests_of(folder: PredictionFolder, gold_root: Path, split: str, languages: list[str]) -> dict[str, Any]:
    """The digests that a run has of its own predictions and gold."""
    digests = Digests()
    return {
        "pieces": {
            f"{split} {code}": {
                "files": files_digest(gold_root, Subset(folder.task, split, code), digests),
                "predictions": file_digest(folder.file(split, code)),
            }
            for code in languages
        }
    }


def _pretraining(beside: Path) -> dict[str, Any]:
    """What the encoder of the predictions has read, as the run that they are in says it; of others it is not known."""
    if not beside.is_file():
        return {"pretraining": NOBODY_KNOWS.record}
    record = recorded_scores(beside).get("pretraining")
    return {"pretraining": record} if record else {}


def average_scores(scores: dict[str, Any], variant: Variant = "official") -> Average:
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
        return PredictionFolder(folder, task(name), xglue.predictions_path, xglue.read_predictions)
    if folder.name not in entries:
        hint = "" if described else "; your own task needs --tasks TASKS.yaml or --plugin FILE"
        raise UserError(f"{folder}: {unknown('task', folder.name, entries)}{hint}")
    entry = task(folder.name, described, root=gold_root)
    if not entry.scorable:
        raise UserError(f"{folder}: task '{entry.name}' is trained, not evaluated")
    return PredictionFolder(folder, entry, submission.predictions_path, submission.read_predictions)


def _languages(predicted: PredictionFolder, split: str, partial: bool) -> list[str]:
    """The languages that have a file, in the task's order."""
    folder, entry = predicted.place, predicted.task
    if split not in entry.files:
        raise UserError(f"{folder}: task '{entry.name}': {unknown('split', split, entry.files)}")
    expected = {predicted.file(split, code).name: code for code in entry.languages}
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    for name in names:
        if name in expected:
            continue
        # The folder that XGLUE's own baseline was published in holds a language more.
        if predicted.read is xglue.read_predictions and name.endswith(xglue.ENDING):
            predicted.notes.append(f"{folder.name}/{name} is of no language of the task: skipped")
            continue
        raise UserError(f"{folder / name}: {unknown('prediction file', name, expected)}")
    missing = [name for name in expected if name not in names]
    if len(missing) == len(expected) or (missing and not partial):
        what = f"{len(expected) - len(missing)} of {len(expected)} languages have files; to score those alone: --partial"
        raise UserError(f"{folder / missing[0]}: no such file ({what})")
    return [code for name, code in expected.items() if name in names]


def _score_languages(
    folder: PredictionFolder, gold_root: Path, split: str, languages: list[str]
) -> Iterator[tuple[str, dict[str, float]]]:
    entry = folder.task
    family = family_of(entry)
    candidates = None
    if entry.pool and not (_missing_pool(gold_root, entry)):
        candidates = {candidate.id for code in entry.pool for _, candidate in entry.examples(gold_root, POOL, code)}
    for code in languages:
        examples = list(entry.examples(gold_root, split, code))
        predictions = folder.read(folder.file(split, code), entry, examples, *([candidates] if entry.pool else []))
        scores = family.score(predictions, examples, code)
        if not scores:
            path = entry.paths(gold_root, split, code)[-1]
            raise UserError(f"{path}: the gold is blanked, as the official download leaves it: nothing to score against")
        yield code, {**scores, "count": family.count_of(predictions)}


def _missing_pool(gold_root: Path, entry: Task) -> Path | None:
    """A file of candidates that is missing."""
    paths = (path for code in entry.pool for path in entry.paths(gold_root, POOL, code))
    return next((path for path in paths if not path.is_file()), None)


def _notes(gold_root: Path, entry: Task, split: str, languages: list[str]) -> list[str]:
    """What else than the numbers is to be known: which way rows point, and what could not be checked."""
    notes = []
    if entry.predicts == "sentence-retrieval":
        foreign, own = (Path(pattern.format(language="xx", name="xx")).name for pattern in entry.files[split][:2])
        notes.append(f"line i of a prediction file names the row, from 0, of {foreign} that translates line i of {own}")
        paths = {code: entry.paths(gold_root, split, code) for code in languages}
        turned = [code for code, files in paths.items() if len(files) == 3 and parallel.is_turned(*files)]
        if turned:
            notes.append(f"gold that goes from the rows of {foreign} to those of {own} was turned round: {', '.join(turned)}")
    if entry.pool and (path := _missing_pool(gold_root, entry)):
        notes.append(f"whether the ids are those of candidates was not checked: {path}: no such file")
    return notes
