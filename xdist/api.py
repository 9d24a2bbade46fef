"""What `import xdist` gives, and what the commands themselves call. docs/api.md shows each of it running.

Errors in what is given raise UserError: one line with file, line or key and the nearest valid name. A run that breaks raises
RunError. Libraries such as torch are imported by the calls that need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xdist.config import Run, load_run
from xdist.config.fitting import path_of
from xdist.errors import RunError, UserError, unknown
from xdist.tasks.catalog import TASKS, Task
from xdist.tasks.catalog import task as task_called

if TYPE_CHECKING:
    from xdist.launch.starting import Finished
    from xdist.study.comparing import TaskDifferences
    from xdist.study.reporting import Reported

__all__ = ["RunError", "UserError", "compare", "evaluate", "load", "report", "score", "tasks", "train"]

AnyPath = str | Path


def load(path: AnyPath, *overrides: str) -> Run:
    """The run that the YAML at `path` describes, checked as far as the file itself can be: keys, values, plugins. It is frozen;
    its fields are the keys of the YAML (docs/reference.md). `overrides` are "a.b=value", as on the command line.

    Raises UserError with file, line and key of the first error.

        run = xdist.load("run.yaml", "train.steps=100")
        run.train.steps
    """
    return load_run(path_of(path), overrides)


def train(description: AnyPath | Run, *overrides: str, ranks: int | None = None) -> Finished:
    """Train a run on the ranks of this machine, then evaluate it where it has a section `evaluate`, as `xdist train` does.

    `description`: a YAML, or what `load` gave; `overrides`: "a.b=value"; `ranks`: short for "runtime.ranks=N". Ranks are
    their own processes, and what they say goes to standard error. A run that is finished starts nothing; one that was
    stopped resumes.

    Returns Finished: folder, state ("finished", or "unfinished" where it was stopped and saved), scores. Raises UserError for
    what the start would be refused for, before anything is started, and for what ranks find wrong; RunError where it failed.

        done = xdist.train("run.yaml", "train.steps=100", ranks=2)
        done.scores["tasks"]["xnli"]["mean"]
    """
    return _start("train", description, overrides, ranks)


def evaluate(
    description: AnyPath | Run | None = None,
    *overrides: str,
    ranks: int | None = None,
    model: AnyPath | None = None,
    task: str | Sequence[str] = (),
    data: AnyPath | None = None,
    languages: Sequence[str] | Literal["all"] | None = None,
    split: Literal["dev", "test"] | None = None,
    labels: Sequence[str] | None = None,
    out: AnyPath | None = None,
) -> Finished:
    """Score a run's model, or any model folder, on the ranks of this machine, as `xdist evaluate` does. What has a score is not
    computed again.

    Either `description`, `overrides` and `ranks` as of `train`, or the model in the folder `model` (fine-tuned elsewhere,
    exported, or the `model/` of a run; a hub id works too) on one `task` or several. Then `data` is where the official files
    are ("download" where not given), `languages` are all whose files exist, `split` is "test" and `out`, the run folder, is
    runs/evaluate/MODEL-TASKS where they are not given. `labels` say what the outputs of its head stand for, in their order,
    where the id2label of its config.json does not name the task's labels. Overrides may be given with a model too.

    Returns and raises what `train` does.

        done = xdist.evaluate(model="models/tagger", task="udpos", data="download", languages=["de", "sw"])
        done.scores["tasks"]["udpos"]["languages"]["sw"]["f1"]
    """
    of_a_model = {"task": task, "data": data, "languages": languages, "split": split, "labels": labels, "out": out}
    given = {name: value for name, value in of_a_model.items() if value}
    if model is None:
        if description is None:
            raise UserError("evaluate: give a description, or a model: model=FOLDER, task=NAME")
        if given:
            raise UserError(f"evaluate: {next(iter(given))}=… goes with model=…; a description says it itself")
        return _start("evaluate", description, overrides, ranks)
    if description is not None:  # the first override, since a model is identified by its name
        overrides = (str(description), *overrides)
    if overrides and "=" not in overrides[0]:
        raise UserError(f"evaluate: {overrides[0]}: give either a description or model=…")
    if not task:
        raise UserError(f"evaluate: {model}: say what to score it on: task=NAME")
    from xdist.launch.starting import of_model

    names = [task] if isinstance(task, str) else list(task)
    options: dict[str, Any] = {name: given[name] for name in given.keys() & {"languages", "split", "labels"}}
    options |= {name: path_of(place) for name, place in (("root", data), ("out", out)) if place}
    return _start("evaluate", *of_model(str(model), names, overrides, **options), ranks)


def score(
    folder: AnyPath,
    gold: AnyPath,
    split: Literal["dev", "test"] = "test",
    partial: bool = False,
    tasks: AnyPath | None = None,
) -> dict[str, Any]:
    """The official scores of predictions that anyone made, as `xdist score` gives them.

    `folder` holds a folder per task with a file test-xx.EXT per language, the submission layout; `gold` is the data root with
    the official files; `split` is "test" or "dev"; `partial` scores a task although some of its languages are missing; `tasks`
    is a YAML of your own tasks. Returns what scores.json holds, in points: {"run": …, "tasks": {name: {"mean": …, …}}}.

    Raises UserError, naming file and line, for predictions that are missing, too many, twice or of the wrong size, and for gold
    that is blanked.

        xdist.score("runs/a/predictions", "download")["tasks"]["udpos"]["mean"]["f1"]
    """
    from xdist.evaluation.official import score_folder

    return score_folder(path_of(folder), path_of(gold), split, partial, path_of(tasks) if tasks else None)


def compare(a: AnyPath | Sequence[AnyPath], b: AnyPath | Sequence[AnyPath], only: str | None = None) -> list[TaskDifferences]:
    """How the runs in the folders `a` differ from those in `b`, on every task that all have scores of, as `xdist compare` says
    it. Each side is a run folder, or several: seeds, in the same order on both sides. `only`: one task.

    Returns for each task Compared: task, split, metric and the comparison, A - B in points with 95 % intervals by language and
    resource group; `absent` says why there is none. Raises UserError for what is no run with scores, for runs without a common
    task, and for runs that were scored on other splits or examples or by other metrics.

        (udpos,) = xdist.compare("runs/a", ["runs/b"], only="udpos")
        udpos.comparison.groups["all languages"].interval
    """
    from xdist.study.comparing import compare_runs

    return compare_runs(_several(a), _several(b), only)


def report(
    places: AnyPath | Sequence[AnyPath],
    out: AnyPath | None = None,
    against: AnyPath | None = None,
    title: str | None = None,
    *,
    tensorboard: bool = False,
    extra: AnyPath | None = None,
) -> Reported:
    """Write report.html, report.md, report.json and languages.csv into `out`, as `xdist report` does; of a comparison
    tables/*.tex too.

    `places`: run folders, or the YAML of a study and overrides "a.b=value". `against`: the run folder, or the condition of the
    study, that others are compared with. `out` is "report", or a study's own folder, where it is not given. `title` is the
    heading. `tensorboard` also writes figures for TensorBoard. `extra`: a JSON file of rows of others, as `--extra`
    of the command takes it.

    Returns Reported: html, markdown, json, and either sentences (the answer) or scores (the table). Raises UserError for what
    has no scores or cannot be compared.

        xdist.report(["runs/a", "runs/b"], "report").html
    """
    from xdist.study.reporting import report_on

    words = [str(place) for place in _several(places)]
    to, baseline = path_of(out) if out else None, str(against) if against else None
    return report_on(words, to, baseline, title, tensorboard, path_of(extra) if extra else None)


class UnknownTask(UserError, KeyError):
    pass


class _Tasks(Mapping[str, Task]):
    """Every task of the catalog by its name.

    A task has `languages`, `labels`, `metric` (the name of its official metric), `files`, `trained_on` and more;
    `examples(root, split, language)` reads its official files, and `score(predictions, examples, language)` gives the numbers
    of its metric. A name that is none raises UserError with the nearest one, which is a KeyError too.

        examples = list(xdist.tasks["udpos"].examples("download", "test", "de"))
    """

    def __getitem__(self, name: str) -> Task:
        if not TASKS.has(name):
            raise UnknownTask(unknown("task", name, list(self)))
        return task_called(name)

    def __iter__(self) -> Iterator[str]:
        return (one.name for one in TASKS)

    def __len__(self) -> int:
        return sum(1 for _ in TASKS)

    def __repr__(self) -> str:
        return f"<tasks: {', '.join(self)}>"


tasks = _Tasks()


def _start(work: Literal["train", "evaluate"], description: AnyPath | Run, more: Sequence[str], ranks: int | None) -> Finished:
    from xdist.launch.starting import check_start, describe_run

    overrides = (*more, f"runtime.ranks={ranks}") if ranks else tuple(more)
    if isinstance(description, Run):
        return check_start(work, *describe_run(description.dump(), overrides)).go()
    return check_start(work, path_of(description), overrides).go()


def _several(places: AnyPath | Sequence[AnyPath]) -> list[Path]:
    return [path_of(places)] if isinstance(places, (str, Path)) else [path_of(place) for place in places]
