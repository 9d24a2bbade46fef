"""What a run got right, example by example: its predictions against the gold of the data that it was evaluated on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xdist.config import Data, recorded_run
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.scores import metric_of_entry
from xdist.languages import CC100, Pretraining
from xdist.languages.pretraining import recorded_list
from xdist.metrics import Metric, metric, missing_metric
from xdist.metrics.counts import CountRows
from xdist.registry import not_here
from xdist.run.folder import RunFolder
from xdist.run.recorded import recorded_scores
from xdist.tasks.catalog import Task, known_tasks, with_found_labels
from xdist.tasks.family import family_of


@dataclass(frozen=True, slots=True)
class Scored:
    """One task of a run: `trained_on` the languages that it was trained on or chosen by, `rows` by language the rows of the
    metric called `scored_by`; `blank` languages were predicted, but not scored, for want of gold. `absent` says what is not
    installed here, the task or its metric: there are no rows then. `read`: what the encoder has read; `sentences` as of the
    task."""

    name: str
    scored_by: str
    split: str
    trained_on: tuple[str, ...]
    rows: dict[str, CountRows]
    family: str
    absent: str | None = None
    blank: tuple[str, ...] = ()
    read: Pretraining = CC100
    read_since: tuple[str, ...] = ()
    sentences: str = ""

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that were predicted."""
        return (*self.rows, *self.blank)

    @property
    def metric(self) -> Metric:
        return metric(self.scored_by)


class Gold:
    """The examples of test sets, each read once however many runs are looked at."""

    def __init__(self) -> None:
        self._examples: dict[tuple[Path, Task, str, str], list[Any]] = {}

    def examples(self, root: Path, entry: Task, split: str, language: str) -> list[Any]:
        key = (root, entry, split, language)  # the task, not its name: two runs may each have a task of that name
        if key not in self._examples:
            self._examples[key] = list(entry.examples(root, split, language))
        return self._examples[key]


def scored_tasks(folder: Path, gold: Gold, only: str | None = None) -> dict[str, Scored]:
    """Every task that the run in `folder` has scores of, or that one `only`, by name. Raises UserError for what is no run that
    was evaluated, and for predictions that do not fit the gold."""
    where = RunFolder(folder)
    if not where.config.is_file() or not where.scores.is_file():
        raise UserError(f"{folder}: is no run folder with scores; a run has them once it has been evaluated")
    run = recorded_run(where.config)
    content, tasks = recorded_scores(where.scores), known_tasks(run.data.tasks, run.plugins)
    entries, read = content["tasks"], recorded_list(content.get("pretraining"))
    since = tuple(content.get("read_since", ()))
    return {
        name: replace(_read_scored(where, run.data, gold, name, entry, tasks.get(name)), read=read, read_since=since)
        for name, entry in entries.items()
        if only in (None, name)
    }


def _read_scored(where: RunFolder, data: Data, gold: Gold, name: str, entry: dict[str, Any], one: Task | None) -> Scored:
    by = metric_of_entry(entry, name) or (one.metric if one else "")
    split, trained_on = entry["split"], (*entry["trained_on"], *entry.get("selected_on", ()))
    absent = missing_metric(by) if by else None
    if absent or one is None:
        absent = absent or not_here("task", name)
        return Scored(name, by, split, trained_on, {}, entry["family"], absent)
    one = replace(with_found_labels(one, data.root), metric=by)  # what it was scored by, even if its file has changed
    family = family_of(one)
    rows: dict[str, CountRows] = {}
    for code, numbers in entry["languages"].items():
        if metric(by).headline not in numbers:  # nor does its gold count that came after the evaluation
            continue
        examples = gold.examples(data.root, one, split, code)
        predictions = submission.read_predictions(
            submission.predictions_path(where.predictions, one, split, code), one, examples
        )
        if (of_language := family.per_example(predictions, examples, code)) is not None:
            rows[code] = of_language
    blank = tuple(code for code in entry["languages"] if code not in rows)
    return Scored(name, by, split, trained_on, rows, one.family, None, blank, sentences=f"{one.sentences} {split}")
