"""A model on a suite: which of its recipes can run on the existing data, and the study that does them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xdist.config import Model, Run, Study
from xdist.config.loading import Source, apply_override, plain_yaml, put_value, read_yaml, validated
from xdist.data.fetched import check_place, use_fetched_model
from xdist.errors import UserError, unknown
from xdist.estimate.shapes import shape_of
from xdist.files import write_yaml
from xdist.resolve.encoder import what_was_read
from xdist.resolve.resolved import Resolved, resolve
from xdist.resolve.subsets import GROUP, NAMED_GROUPS, Subsets
from xdist.study.benchmark_files import Asked, FilesThere
from xdist.study.suite import RecipeTasks
from xdist.tasks.catalog import Task
from xdist.tasks.catalog.chosen import chosen, single_codes

FILE = "study.yaml"
BEFORE, TARGET = "before", "target"  # stages: the first of two runs, and the one that is scored
# What an option says; any other key of a run may be given as an override.
SAID = {
    "name": "--out",
    "folder": "--out",
    "seed": "--seeds",
    "model.backbone": "the model",
    "data.root": "--data",
    "evaluate.tasks": "--task",
    "evaluate.languages": "--languages",
}


@dataclass(frozen=True, slots=True)
class PlannedBenchmark:
    """`study` does what can be done. `absent`: by task why it is not scored; `missing`: by task that is, the languages whose
    files are missing."""

    asked: Asked
    study: Study
    absent: Mapping[str, str]
    missing: Mapping[str, tuple[str, ...]]

    def write(self) -> None:
        """The study into its folder, where `xdist study` and `xdist report` take it."""
        values = self.study.model_dump(mode="json", exclude_defaults=True)
        write_yaml(self.study.folder / FILE, values)


def plan_benchmark(request: Asked) -> PlannedBenchmark:
    """Raises UserError for names that nothing carries, for a task that was named and cannot be scored, and where none can."""
    for number, name in enumerate(request.tasks):
        if name not in request.suite.tasks:
            raise UserError(f"--task {number + 1}: {unknown(f'task of {request.suite.name}', name, request.suite.tasks)}")
    request = _without_groups(request)
    _check_languages(request)
    if not request.root.is_dir():
        raise UserError(f"{request.root}: no such folder (--data)")
    check_place(request.model)
    _check_out(request)
    width = _width(request)
    absent: dict[str, str] = {}
    missing: dict[str, tuple[str, ...]] = {}
    axis: dict[str, dict[str, Any]] = {}
    trains = False
    for recipe in request.suite.recipes if request.train else _one_by_one(request.suite.recipes):
        files = FilesThere(request, recipe)
        absent |= files.absent
        if not files.there:
            continue
        recipe_runs = _RecipeRuns(tuple(_runs(request, recipe, width, files)))
        if reason := recipe_runs.reason:
            absent |= dict.fromkeys((entry.name for entry in files.there), reason)
            continue
        missing |= {name: codes for name, codes in files.missing.items() if codes}
        trains = trains or recipe_runs.train
        axis[recipe.name] = recipe_runs.stages
    for name in request.tasks:
        if name in absent:
            raise UserError(f"{name}: {absent[name]}")
    if not axis:
        raise UserError(f"{request.suite.name}: nothing can be scored: {', '.join(f'{k}: {v}' for k, v in absent.items())}")
    return PlannedBenchmark(request, _study(request, axis, request.seeds if trains else 1), absent, missing)


def _one_by_one(recipes: Iterable[RecipeTasks]) -> Iterator[RecipeTasks]:
    """A recipe for each task, where nothing is trained: a model may have the head of one of them alone."""
    for recipe in recipes:
        if not recipe.runs:
            yield recipe
            continue
        yield from (replace(recipe, name=entry.name, tasks={entry: codes}) for entry, codes in recipe.tasks.items())


def _without_groups(request: Asked) -> Asked:
    """`request` with the languages of a suite that are in a group, as `group:tail`, instead of its name. Raises UserError for a
    group that is none, and where the encoder's are not known."""
    groups = [word for word in request.languages if word.startswith(GROUP)]
    if not groups:
        return request
    if unnamed := [word for word in groups if word not in NAMED_GROUPS]:
        raise UserError(f"--languages: {unknown('group', unnamed[0], NAMED_GROUPS)}")
    lists = [text.partition("=")[2] for text in request.overrides if text.startswith("model.pretraining=")]
    read = what_was_read(Model(backbone=request.model, pretraining=lists[-1] if lists else None), _place(request))
    if not read.known:
        reason = "what the encoder has read is not known, so languages are in no group; give model.pretraining=…"
        raise UserError(f"--languages: {groups[0]}: {reason}")
    parts = dict.fromkeys(part for word in groups for part in NAMED_GROUPS[word])
    codes = {code for code in _codes(request) if read.group(code) in parts}
    if not codes:
        raise UserError(f"--languages: no language of {request.suite.name} is {' or '.join(parts)} ({read.title})")
    return replace(request, languages=(*(word for word in request.languages if word not in groups), *sorted(codes)))


def _check_languages(request: Asked) -> None:
    tasks = _tasks(request)
    for code in request.languages:
        if not any(set(chosen(entry, [code])).intersection(languages) for entry, languages in tasks.items()):
            raise UserError(f"--languages: {unknown(f'language of {request.suite.name}', code, _codes(request))}")


def _tasks(request: Asked) -> dict[Task, tuple[str, ...]]:
    """Those that are included, each with its languages in the suite."""
    tasks = (one for recipe in request.suite.recipes for one in recipe.tasks.items())
    return {entry: languages for entry, languages in tasks if not request.tasks or entry.name in request.tasks}


def _codes(request: Asked) -> set[str]:
    return {code for entry, languages in _tasks(request).items() for code in single_codes(entry, languages)}


def _check_out(request: Asked) -> None:
    """Raises UserError where the folder is another's, or contains the benchmark of another model or suite."""
    file = request.out / FILE
    if not file.is_file():
        if request.out.is_dir() and any(not path.name.startswith(".") for path in request.out.iterdir()):
            raise UserError(
                f"{request.out}: contains something other than a benchmark (no {FILE}); choose another folder (--out)"
            )
        return
    before = plain_yaml(file)
    try:
        models = {
            stage["run"]["model"]["backbone"] for stages in before["axes"]["recipe"].values() for stage in stages.values()
        }
        about = (before["name"], *models)
    except (LookupError, TypeError, AttributeError):
        about = ("something else",)
    if about != (request.suite.name, request.model):
        raise UserError(f"{request.out}: contains the benchmark of {' on '.join(about[::-1])}; choose another folder (--out)")


def _place(request: Asked) -> str:
    """Where the model is: its folder, or the copy of a hub id that was fetched."""
    return use_fetched_model(Model(backbone=request.model), request.root).backbone


def _width(request: Asked) -> int | None:
    """That of the encoder, where its configuration is here."""
    try:
        return shape_of(_place(request)).width
    except UserError:
        return None


def _runs(request: Asked, recipe: RecipeTasks, width: int | None, files: FilesThere) -> Iterator[Run]:
    """The runs of a recipe in their order, each with the model that it begins with where no other makes it. Raises UserError
    as a run file does."""
    recipes = recipe.runs if request.train else ()
    for number, path in enumerate(recipes or (None,)):
        last = number == len(recipes) - 1 or not recipes
        values, source = read_yaml(path) if path else ({}, Source(request.suite.source.path))
        values["evaluate"] = {**(values.get("evaluate") or {}), **_evaluate_section(files)} if last else None
        values |= {"name": recipe.name, "folder": str(request.out / recipe.name)}
        for key, value in (("model.backbone", request.model), ("data.root", str(request.root))):
            put_value(values, key, value, source, str(request.suite.source.path))
        for key, value in recipe.changes(width).items() if path else ():
            put_value(values, key, value, source, request.suite.source.at(("recipes", recipe.name)))
        for text in request.overrides:
            key = text.partition("=")[0]
            if key in SAID:
                raise UserError(f"{text}: {SAID[key]} says that")
            section = key.partition(".")[0]
            if (section in ("train", "robust") and not path) or (section == "evaluate" and not last):
                continue
            apply_override(values, text, source)
        run = validated(Run, values, source)
        run.stands_in(source)
        yield run


def _evaluate_section(files: FilesThere) -> dict[str, Any]:
    return {"tasks": [entry.name for entry in files.there], "languages": files.languages}


@dataclass(frozen=True, slots=True)
class _RecipeRuns:
    """The runs of a recipe in their order."""

    runs: tuple[Run, ...]

    @property
    def train(self) -> bool:
        return any(run.train for run in self.runs)

    @property
    def reason(self) -> str:
        """Why they cannot be done: a file to train on that is missing, or a head that a model which nothing trains has not;
        empty where they can."""
        for run in self.runs:
            for path in Resolved(run, Subsets(run)).trained_files if run.train else ():
                if not path.is_file():
                    return f"no files to train on, such as {path}"
        run = self.runs[-1]
        if run.train or not any(subset.task.needs_head for subset in Subsets(run).evaluation_named):
            return ""
        try:
            resolve(run, "evaluate")
        except UserError as error:
            return str(error)
        return ""

    @property
    def stages(self) -> dict[str, Any]:
        """What the study is to say of them: all that was given, except for what the study itself gives."""
        names = (TARGET,) if len(self.runs) == 1 else (BEFORE, TARGET)
        written = [run.model_dump(mode="json", exclude_unset=True, exclude={"name", "folder", "seed"}) for run in self.runs]
        return {stage: {"run": sections} for stage, sections in zip(names, written, strict=True)}


def _study(request: Asked, axis: Mapping[str, Mapping[str, Any]], seeds: int) -> Study:
    chained = any(BEFORE in stages for stages in axis.values())
    stages = {BEFORE: {}, TARGET: {"after": BEFORE}} if chained else {TARGET: {}}
    values = {
        "name": request.suite.name,
        "folder": str(request.out),
        "stages": stages,
        "axes": {"recipe": axis},
        "seeds": list(range(1, seeds + 1)),
    }
    source = Source(request.out / FILE)
    study = validated(Study, values, source)
    study._source = source
    study.check()
    return study
