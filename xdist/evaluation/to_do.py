"""What of an evaluation is still to be done: predicted, or only scored because its gold has come since."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.data.fetched import model_digest
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.made_of import files_digest, inputs_digest
from xdist.evaluation.request import PRECISION, Request
from xdist.evaluation.scores import Scores
from xdist.files import Digests, file_digest
from xdist.formats.gold import labelled
from xdist.metrics import metric


class MixtureError(UserError):
    """The existing predictions were made by another model or with other options."""


@dataclass(frozen=True, slots=True)
class ToDo:
    """`predict` and score, or `score` alone, since the predictions exist; `untold` are done, but an earlier version did not
    say what their scores were made of: they are taken as they are."""

    predict: tuple[Subset, ...] = ()
    score: tuple[Subset, ...] = ()
    untold: tuple[Subset, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.predict or self.score)


def plan_work(request: Request, digests: Digests | None = None, precision: str | None = None) -> ToDo:
    """What is to be done of all that is requested. A test file whose texts changed is predicted again; one of which
    only the gold changed is scored again. `precision` is what the ranks would predict in; None where that is not known yet.

    Raises UserError as readers do, and MixtureError where model or options are not those of the
    predictions that exist.
    """
    digests = digests or Digests(request.folder.digests)
    subsets = request.subsets
    scores = Scores(request.folder.scores, request.name)
    _check_options(request, subsets, scores)
    _check_model(request, scores, digests)
    by_state: dict[str, list[Subset]] = {"predict": [], "score": [], "untold": [], "done": []}
    for subset in subsets:
        by_state[_subset_state(request, subset, scores, digests)].append(subset)
    todo = ToDo(*(tuple(by_state[key]) for key in ("predict", "score", "untold")))
    if precision:
        _check_precision(request, todo, scores, precision)
    return todo


def earlier_notes(request: Request, todo: ToDo) -> list[str]:
    """What is said of scores that an earlier version left: a line, or none."""
    what = "was written by an earlier version, which did not say of what scores were made; they are taken as they are"
    return [f"{request.folder.scores}: {what}"] if todo.untold else []


def group_by_task(subsets: Sequence[Subset]) -> dict[str, list[Subset]]:
    by_task: dict[str, list[Subset]] = {}
    for subset in subsets:
        by_task.setdefault(subset.task.name, []).append(subset)
    return by_task


def has_predictions(predictions: Path, task: str, split: str, language: str) -> bool:
    """Whether the file of predictions is."""
    return any((predictions / task).glob(f"{split}-{language}.*"))


def _subset_state(request: Request, subset: Subset, scores: Scores, digests: Digests) -> str:
    root, folder = request.root, request.folder
    numbers = scores.of(subset.task, subset.split, subset.language)
    recorded = scores.made(subset.task.name).get(f"{subset.split} {subset.language}")
    if recorded is None:
        if numbers is None:
            return "predict"
        scored = metric(subset.task.metric).headline in numbers
        new = not scored and labelled(subset.task.examples(root, subset.split, subset.language))
        return "predict" if new else "untold"
    path = submission.predictions_path(folder.predictions, subset.task, subset.split, subset.language)
    if not path.is_file():
        return "predict"
    if files_digest(root, subset, digests) == recorded.files:
        return "score" if numbers is None else "done"
    examples = subset.task.examples(root, subset.split, subset.language)
    same = inputs_digest(root, subset, examples, digests) == recorded.inputs and file_digest(path) == recorded.predictions
    return "score" if same else "predict"


def _predicted_tasks(request: Request, scores: Scores) -> Iterable[tuple[str, dict[str, Any]]]:
    """The entries that have predictions, or of which that is not known."""
    predictions = request.folder.predictions
    for name, entry in scores.tasks.items():
        recorded = scores.made(name)
        if not recorded or any(has_predictions(predictions, name, *key.split(" ")) for key in recorded):
            yield name, entry


def _check_options(request: Request, subsets: Iterable[Subset], scores: Scores) -> None:
    tasks = {subset.task.name: subset.task for subset in subsets}
    for name, _ in _predicted_tasks(request, scores):
        if name not in tasks:
            continue
        then = scores.options(name)
        now = request.options(tasks[name])
        if request.precision != "auto":
            now[PRECISION] = request.precision
        for key in now:
            if key in then and then[key] != now[key]:
                _refuse(request, *_difference(key, then[key], now[key]), name)


def _check_model(request: Request, scores: Scores, digests: Digests) -> None:
    model = request.model
    then = {entry["made_of"]["model"] for _, entry in _predicted_tasks(request, scores) if "made_of" in entry}
    if not then or (request.own and not Path(model).is_dir()):
        return
    if request.own:  # remembered in the run's own folder
        digests = Digests(request.folder.digests)
    if then != {model_digest(model, digests)}:
        where = request.folder.predictions
        raise MixtureError(f"{model}: is not the model that made {where}; {_how_to_repeat(request)}")


def _check_precision(request: Request, todo: ToDo, scores: Scores, precision: str) -> None:
    """With `auto` a machine of another kind takes another. Where everything of a task is predicted again, nothing is mixed."""
    predictions = request.folder.predictions
    for task in dict.fromkeys(subset.task for subset in todo.predict):
        then = scores.options(task.name).get(PRECISION, precision)
        again = {f"{subset.split} {subset.language}" for subset in todo.predict if subset.task == task}
        kept = [
            key
            for key in scores.made(task.name)
            if key not in again and has_predictions(predictions, task.name, *key.split(" "))
        ]
        if kept and then != precision:
            _refuse(request, PRECISION, then, precision, task.name)


def _difference(key: str, then: Any, now: Any) -> tuple[str, Any, Any]:
    """As deep as both sides go."""
    if not isinstance(then, dict) or not isinstance(now, dict):
        return key, then, now
    inner = next(name for name in {**then, **now} if then.get(name) != now.get(name))
    return f"{key}.{inner}", then.get(inner), now.get(inner)


def _refuse(request: Request, key: str, then: Any, now: Any, task: str) -> None:
    if key == "data.tasks":
        what = f"'{task}' is described otherwise than when it was predicted"
    else:
        what = f"was {_show_value(then)} when '{task}' was predicted, is {_show_value(now)}"
    raise MixtureError(f"{request.error(tuple(key.split('.')), what)}; {_how_to_repeat(request)}")


def _how_to_repeat(request: Request) -> str:
    return f"choose another folder (folder=…), or remove {request.folder.predictions} and scores.json to predict again"


def _show_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_show_value(inner)}" for key, inner in value.items()) + "}"
    return "null" if value is None else str(value)
