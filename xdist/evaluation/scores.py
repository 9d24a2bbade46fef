"""scores.json: per task and language the official metrics x 100, and their unweighted mean over languages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xdist.config import Run
from xdist.data.pieces import Piece, evaluation_pieces
from xdist.files import read_json, write_json
from xdist.languages import by_size
from xdist.metrics import metric
from xdist.metrics.transfer import transfer_matrix
from xdist.runtime.run_folder import RunFolder
from xdist.tasks.catalog import TASKS, Task


class Scores:
    """The scores of a run, on disk after every task, so that an interrupted evaluation goes on."""

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self.values: dict[str, Any] = read_json(path) if path.exists() else {"run": run, "tasks": {}}

    def has(
        self, task: Task, split: str, language: str, layer: int | None = None, smoothing: dict[str, Any] | None = None
    ) -> bool:
        """Whether that has a score by the task's metric; of sentence vectors from the hidden `layer` that the run asks for,
        None: the task's own; of predictions smoothed like that, None: not at all."""
        return language in self._scored(task, split, layer, smoothing)

    def add(
        self,
        task: Task,
        split: str,
        trained_on: list[str],
        found: dict[str, dict[str, float]],
        layer: int | None = None,
        smoothing: dict[str, Any] | None = None,
        cost: dict[str, float] | None = None,
    ) -> None:
        """Add the scores of some languages of a task; those of another split, metric, hidden layer or smoothing are replaced.
        `cost` is what the smoothing of these languages took."""
        languages = {**self._scored(task, split, layer, smoothing), **found}
        entry = summary(task, split, trained_on, languages)
        if task.layer and layer is not None:
            entry["layer"] = layer
        if smoothing is not None:
            entry |= {"smoothing": smoothing, "smoothing_cost": cost}
        self.values["tasks"][task.name] = entry
        write_json(self.path, self.values)

    def _scored(
        self, task: Task, split: str, layer: int | None, smoothing: dict[str, Any] | None
    ) -> dict[str, dict[str, float]]:
        entry = self.values["tasks"].get(task.name, {})
        if entry and scored_by(entry, task.name) not in (None, task.metric):
            return {}
        asked = (split, layer if task.layer else None, smoothing)
        return entry["languages"] if (entry.get("split"), entry.get("layer"), entry.get("smoothing")) == asked else {}


def summary(task: Task, split: str, trained_on: list[str], languages: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The entry of a task: its languages from least to most pre-training text, the mean of each metric over them, and for a
    task of mixed pairs the means of its matrix."""
    languages = {code: languages[code] for code in by_size(languages)}
    names = dict.fromkeys(name for scores in languages.values() for name in scores if name != "count")
    # Means only over languages that have gold: a blanked test set has no score.
    mean = {
        name: sum(values) / len(values)
        for name in names
        if (values := [scores[name] for scores in languages.values() if name in scores])
    }
    headline = metric(task.metric).headline
    entry = {
        "family": task.family,
        "metric": headline,
        "scored_by": task.metric,
        "split": split,
        "trained_on": trained_on,
        "languages": languages,
        "mean": mean,
    }
    if task.pairs_of and headline in mean:
        entry["transfer"] = transfer_matrix(languages, headline).means
    return entry


def scored_by(entry: Mapping[str, Any], task: str) -> str | None:
    """The name of the metric that an entry was made by; None where only its task can say. Version 0.1.0 did not write it: it
    scored every tagging task, those of one's own too, as the official ones are."""
    own_tagging = task not in TASKS and entry.get("family") == "tagging"
    return entry.get("scored_by") or ("seqeval-0.0.12" if own_tagging else None)


def smoothing_of(run: Run) -> dict[str, Any] | None:
    """How a run's predictions are smoothed, as scores.json says it."""
    return run.evaluate.smoothing.model_dump() if run.evaluate and run.evaluate.smoothing else None


def unscored(run: Run) -> list[Piece]:
    """The pieces that `run.evaluate` asks for and that have no score yet. Raises UserError as `evaluation_pieces` does."""
    scores = Scores(RunFolder(run.folder).scores, run.name)
    layer = run.evaluate.layer if run.evaluate else None
    asked = (layer, smoothing_of(run))
    return [piece for piece in evaluation_pieces(run) if not scores.has(piece.task, piece.split, piece.language, *asked)]
