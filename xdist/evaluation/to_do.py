"""What of an evaluation is still to be done: predicted, or only scored because its gold has come since."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.config import Run
from xdist.data.fetched import found_model, model_digest
from xdist.data.pieces import Piece, evaluation_pieces
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.made_of import PRECISION, files_of, inputs_of, options_of
from xdist.evaluation.scores import Scores
from xdist.files import Digests, file_digest
from xdist.formats.gold import labelled
from xdist.metrics import metric
from xdist.runtime.run_folder import RunFolder


class MixtureError(UserError):
    """Predictions that are there were made by another model or with other options."""


@dataclass(frozen=True, slots=True)
class ToDo:
    """`predict` and score, or `score` alone, since the predictions are there; `untold` are done, but an earlier version did not
    say what their scores were made of: they are taken as they are."""

    predict: tuple[Piece, ...] = ()
    score: tuple[Piece, ...] = ()
    untold: tuple[Piece, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.predict or self.score)


def to_do(run: Run, digests: Digests | None = None, precision: str | None = None) -> ToDo:
    """What is to be done of all that `run.evaluate` asks for. A test file whose texts changed is predicted again; one of which
    only the gold changed is scored again. `precision` is what the ranks would predict in; None where that is not known yet.

    Raises UserError as `evaluation_pieces` and readers do, and MixtureError where model or options are not those of the
    predictions that are there.
    """
    folder = RunFolder(run.folder)
    digests = digests or Digests(folder.digests)
    pieces = evaluation_pieces(run)
    scores = Scores(folder.scores, run.name)
    _check_options(run, pieces, scores)
    _check_model(run, scores, digests)
    found: dict[str, list[Piece]] = {"predict": [], "score": [], "untold": [], "done": []}
    for piece in pieces:
        found[_standing(run, piece, scores, digests)].append(piece)
    todo = ToDo(*(tuple(found[key]) for key in ("predict", "score", "untold")))
    if precision:
        _check_precision(run, todo, scores, precision)
    return todo


def untold(run: Run, todo: ToDo) -> list[str]:
    """What is said of scores that an earlier version left: a line, or none."""
    what = "was written by an earlier version, which did not say of what scores were made; they are taken as they are"
    return [f"{RunFolder(run.folder).scores}: {what}"] if todo.untold else []


def model_of(run: Run) -> str:
    """The model that a run evaluates: a folder or a hub id."""
    return str(RunFolder(run.folder).model) if run.train else found_model(run).backbone


def by_task(pieces: Sequence[Piece]) -> dict[str, list[Piece]]:
    found: dict[str, list[Piece]] = {}
    for piece in pieces:
        found.setdefault(piece.task.name, []).append(piece)
    return found


def is_there(predictions: Path, task: str, split: str, language: str) -> bool:
    """Whether the file of predictions is."""
    return any((predictions / task).glob(f"{split}-{language}.*"))


def _standing(run: Run, piece: Piece, scores: Scores, digests: Digests) -> str:
    root, folder = run.data.root, RunFolder(run.folder)
    numbers = scores.of(piece.task, piece.split, piece.language)
    made = scores.made(piece.task.name).get(f"{piece.split} {piece.language}")
    if made is None:
        if numbers is None:
            return "predict"
        scored = metric(piece.task.metric).headline in numbers
        new = not scored and labelled(piece.task.examples(root, piece.split, piece.language))
        return "predict" if new else "untold"
    path = submission.path(folder.predictions, piece.task, piece.split, piece.language)
    if not path.is_file():
        return "predict"
    if files_of(run, piece, digests) == made.files:
        return "score" if numbers is None else "done"
    examples = piece.task.examples(root, piece.split, piece.language)
    same = inputs_of(run, piece, examples, digests) == made.inputs and file_digest(path) == made.predictions
    return "score" if same else "predict"


def _tasks_there(run: Run, scores: Scores) -> Iterable[tuple[str, dict[str, Any]]]:
    """The entries that have predictions, or of which that is not known."""
    predictions = RunFolder(run.folder).predictions
    for name, entry in scores.tasks.items():
        made = scores.made(name)
        if not made or any(is_there(predictions, name, *key.split(" ")) for key in made):
            yield name, entry


def _check_options(run: Run, pieces: Iterable[Piece], scores: Scores) -> None:
    tasks = {piece.task.name: piece.task for piece in pieces}
    for name, _ in _tasks_there(run, scores):
        if name not in tasks:
            continue
        then = scores.options(name)
        now = options_of(run, tasks[name])
        if run.runtime.precision != "auto":
            now[PRECISION] = run.runtime.precision
        for key in now:
            if key in then and then[key] != now[key]:
                _refuse(run, *_difference(key, then[key], now[key]), name)


def _check_model(run: Run, scores: Scores, digests: Digests) -> None:
    model = model_of(run)
    then = {entry["made_of"]["model"] for _, entry in _tasks_there(run, scores) if "made_of" in entry}
    if not then or (run.train and not Path(model).is_dir()):
        return
    if run.train:  # remembered in the run's own folder
        digests = Digests(RunFolder(run.folder).digests)
    if then != {model_digest(model, digests)}:
        where = RunFolder(run.folder).predictions
        raise MixtureError(f"{model}: is not the model that made {where}; {_anew(run)}")


def _check_precision(run: Run, todo: ToDo, scores: Scores, precision: str) -> None:
    """With `auto` a machine of another kind takes another. Where everything of a task is predicted anew, nothing is mixed."""
    predictions = RunFolder(run.folder).predictions
    for task in dict.fromkeys(piece.task for piece in todo.predict):
        then = scores.options(task.name).get(PRECISION, precision)
        again = {f"{piece.split} {piece.language}" for piece in todo.predict if piece.task == task}
        kept = [key for key in scores.made(task.name) if key not in again and is_there(predictions, task.name, *key.split(" "))]
        if kept and then != precision:
            _refuse(run, PRECISION, then, precision, task.name)


def _difference(key: str, then: Any, now: Any) -> tuple[str, Any, Any]:
    """As deep as both sides go."""
    if not isinstance(then, dict) or not isinstance(now, dict):
        return key, then, now
    inner = next(name for name in {**then, **now} if then.get(name) != now.get(name))
    return f"{key}.{inner}", then.get(inner), now.get(inner)


def _refuse(run: Run, key: str, then: Any, now: Any, task: str) -> None:
    if key == "data.tasks":
        what = f"'{task}' is described otherwise than when it was predicted"
    else:
        what = f"was {_shown(then)} when '{task}' was predicted, is {_shown(now)}"
    raise MixtureError(f"{run.error(tuple(key.split('.')), what)}; {_anew(run)}")


def _anew(run: Run) -> str:
    return f"choose another folder (folder=…), or remove {RunFolder(run.folder).predictions} and scores.json to predict anew"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(one)}" for key, one in value.items()) + "}"
    return "null" if value is None else str(value)
