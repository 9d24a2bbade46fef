"""scores.json: per task and language the official metrics x 100, their unweighted mean over languages, and what they were made
of. A language without gold has its count alone: it was predicted, not scored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xdist.data.subset import Subset
from xdist.evaluation.made_of import Made
from xdist.evaluation.request import PRECISION, Request
from xdist.files import write_json
from xdist.formats.gold import NO_GOLD, name_languages
from xdist.languages import by_size
from xdist.metrics import metric
from xdist.metrics.transfer import transfer_matrix
from xdist.run.recorded import recorded_scores
from xdist.tasks.catalog import TASKS, Task
from xdist.tasks.collapse import describe_collapse

# Options that an entry names itself, since they make another system of the same model.
NAMED = {"evaluate.layer": "layer", "evaluate.smoothing": "smoothing"}


class Scores:
    """The scores of a run, on disk after every task, so that an interrupted evaluation continues. Raises DamagedError for a
    file that xdist did not write."""

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self.values: dict[str, Any] = recorded_scores(path) if path.exists() else {"run": run, "tasks": {}}

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        tasks: dict[str, dict[str, Any]] = self.values["tasks"]
        return tasks

    @property
    def means(self) -> dict[str, float]:
        """score/<task>: the mean of its headline over the languages that have gold."""
        means = {name: entry.get("mean", {}).get(entry["metric"]) for name, entry in self.tasks.items()}
        return {f"score/{name}": value for name, value in means.items() if value is not None}

    def group_by(self, pretraining: Mapping[str, Any], read_since: Sequence[str] = ()) -> None:
        """Keep what the encoder has read, by which reports group languages, and the languages of what it read since."""
        record = {"pretraining": dict(pretraining), **({"read_since": list(read_since)} if read_since else {})}
        if {key: self.values.get(key) for key in record} != record:
            self.values |= record
            if self.tasks:
                write_json(self.path, self.values)

    def of(self, task: Task, split: str, language: str) -> dict[str, float] | None:
        """The numbers by the task's metric; None where there are none."""
        entry = self.tasks.get(task.name, {})
        return entry["languages"].get(language) if _is_of(entry, task, split) else None

    def made(self, task: str) -> dict[str, Made]:
        """By "split language" what predictions were made of; earlier versions did not say it."""
        subsets = self.tasks.get(task, {}).get("made_of", {}).get("pieces", {})
        return {key: Made(**values) for key, values in subsets.items()}

    def options(self, task: str) -> dict[str, Any]:
        """With which options a task was predicted, by their keys, as far as it is known."""
        entry = self.tasks.get(task, {})
        options: dict[str, Any] = entry.get("made_of", {}).get("options", {})
        return {key: entry.get(name) for key, name in NAMED.items()} | options

    def add(
        self,
        task: Task,
        split: str,
        trained_on: list[str],
        found: dict[str, dict[str, float]],
        layer: int | None = None,
        smoothing: dict[str, Any] | None = None,
        cost: dict[str, float] | None = None,
        made_of: Mapping[str, Any] | None = None,
        collapsed: Mapping[str, Any] | None = None,
        measured: Mapping[str, Any] | None = None,
        selected_on: Sequence[str] = (),
    ) -> None:
        """Add the scores of some languages of a task; those of another split, metric, hidden layer or smoothing are replaced.
        `cost` is what the smoothing of these languages took. `made_of` has the `model`, the `options` and by language the
        `subsets`; `collapsed` by language what all predictions are, where they are equal; `measured` by
        language how the tokenizer takes the texts. `selected_on`: languages whose dev sets chose the model, in addition to
        those that it was trained in."""
        before = self.tasks.get(task.name, {})
        layer = layer if task.layer else None
        same = _is_of(before, task, split) and (before.get("layer"), before.get("smoothing")) == (layer, smoothing)
        entry = summarise_task(task, split, trained_on, {**(before["languages"] if same else {}), **found})
        alike = {code: one for code, one in before.get("collapsed", {}).items() if same and code not in found}
        if alike := {**alike, **(collapsed or {})}:
            entry["collapsed"] = alike
        # Of the texts and the tokenizer, so a score that changes with its gold keeps it.
        if by_language := {**(before.get("measured", {}) if same else {}), **(measured or {})}:
            entry["measured"] = by_language
        if selected_on:
            entry["selected_on"] = list(selected_on)
        if layer is not None:
            entry["layer"] = layer
        if smoothing is not None:
            entry |= {"smoothing": smoothing, "smoothing_cost": cost}
        if made_of:
            new = {f"{split} {code}": asdict(made) for code, made in made_of["pieces"].items()}
            entry["made_of"] = {**made_of, "pieces": before.get("made_of", {}).get("pieces", {}) | new}
        self.tasks[task.name] = entry
        write_json(self.path, self.values)

    def forget(self, gone: Callable[[str, str, str], bool]) -> None:
        """Forget what was made of the subsets (task, split, language) that `gone` is true for, before they are recomputed: a
        start that is killed meanwhile leaves no score that belongs to other predictions."""
        changed = False
        for name, entry in list(self.tasks.items()):
            subsets = entry.get("made_of", {}).get("pieces", {})
            keys = [key for key in subsets if gone(name, *key.split(" "))]
            for key in keys:
                del subsets[key]
                if key.split(" ")[0] == entry["split"]:
                    entry["languages"].pop(key.split(" ")[1], None)
                    for about in ("collapsed", "measured"):
                        entry.get(about, {}).pop(key.split(" ")[1], None)
            if keys:
                changed = True
                entry |= _over_languages(entry["languages"], entry["metric"], "transfer" in entry)
                if not entry["languages"]:
                    del self.tasks[name]
        if changed:
            write_json(self.path, self.values)


def summarise_task(task: Task, split: str, trained_on: list[str], languages: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The entry of a task: its languages from least to most pre-training text, the mean of each metric over them, and for a
    task of mixed pairs the means of its matrix."""
    headline = metric(task.metric).headline
    about = {"family": task.family, "metric": headline, "scored_by": task.metric, "split": split, "trained_on": trained_on}
    return about | _over_languages(languages, headline, task.pairs_of is not None)


def _over_languages(languages: dict[str, dict[str, float]], headline: str, pairs: bool) -> dict[str, Any]:
    languages = {code: languages[code] for code in by_size(languages)}
    names = dict.fromkeys(name for scores in languages.values() for name in scores if name != "count")
    # Means only over languages that have gold: a blanked test set has no score.
    mean = {
        name: sum(values) / len(values)
        for name in names
        if (values := [scores[name] for scores in languages.values() if name in scores])
    }
    transfer = {"transfer": transfer_matrix(languages, headline).means} if pairs and headline in mean else {}
    return {"languages": languages, "mean": mean, **transfer}


def metric_of_entry(entry: Mapping[str, Any], task: str) -> str | None:
    """The name of the metric that an entry was made by; None where only its task can say. Version 0.1.0 did not write it: it
    scored every tagging task, those of users too, as the official ones are."""
    own_tagging = task not in TASKS.ours() and entry.get("family") == "tagging"
    return entry.get("scored_by") or ("seqeval-0.0.12" if own_tagging else None)


def _is_of(entry: Mapping[str, Any], task: Task, split: str) -> bool:
    """Whether an entry is of this split, and by the task's metric."""
    return entry.get("split") == split and metric_of_entry(entry, task.name) in (None, task.metric)


def describe_made(options: Mapping[str, Any], model: str, precision: str, subsets: Mapping[str, Made]) -> dict[str, Any]:
    """What `Scores.add` keeps of how `subsets`, by language, were made, `options` those of their task."""
    options = {key: value for key, value in options.items() if key not in NAMED}
    return {"model": model, "options": {**options, PRECISION: precision}, "pieces": subsets}


def subsets_without_gold(request: Request) -> list[Subset]:
    """What was predicted, but not scored, for want of gold."""
    scores = Scores(request.folder.scores, request.name)
    with_scores = [(subset, scores.of(subset.task, subset.split, subset.language)) for subset in request.subsets]
    return [
        subset for subset, numbers in with_scores if numbers is not None and metric(subset.task.metric).headline not in numbers
    ]


def collapse_lines(request: Request) -> list[str]:
    """A line for each value that all predictions of a task are in some languages."""
    entries = Scores(request.folder.scores, request.name).tasks
    names = dict.fromkeys(subset.task.name for subset in request.subsets)
    return [line for name in names if name in entries for line in describe_collapse(name, entries[name])]


def without_gold_line(subsets: Iterable[Subset]) -> str:
    """That these have no gold, on one line."""
    languages: dict[str, list[str]] = {}
    for subset in subsets:
        languages.setdefault(subset.task.name, []).append(subset.language)
    return f"{NO_GOLD}: " + ", ".join(f"{name} ({name_languages(codes)})" for name, codes in languages.items())
