"""A model on a suite: which of its recipes can run on the existing data, and the study that does them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xdist.config import Model, Run, Study
from xdist.config.loading import Source, apply_override, plain_yaml, put_value, read_yaml, validated
from xdist.data.fetched import check_place, found_model
from xdist.errors import UserError, unknown
from xdist.estimate.shapes import shape_of
from xdist.files import write_yaml
from xdist.languages import same_language
from xdist.resolve.encoder import what_was_read
from xdist.resolve.resolved import Resolved, resolve
from xdist.resolve.subsets import GROUP, NAMED_GROUPS, Subsets
from xdist.study.benchmark_files import Asked, FilesThere
from xdist.study.suite import RecipeTasks

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


def plan_benchmark(asked: Asked) -> PlannedBenchmark:
    """Raises UserError for names that nothing carries, for a task that was named and cannot be scored, and where none can."""
    for number, name in enumerate(asked.tasks):
        if name not in asked.suite.tasks:
            raise UserError(f"--task {number + 1}: {unknown(f'task of {asked.suite.name}', name, asked.suite.tasks)}")
    asked = _without_groups(asked)
    _check_languages(asked)
    if not asked.root.is_dir():
        raise UserError(f"{asked.root}: no such folder (--data)")
    check_place(asked.model)
    _check_out(asked)
    width = _width(asked)
    absent: dict[str, str] = {}
    missing: dict[str, tuple[str, ...]] = {}
    axis: dict[str, dict[str, Any]] = {}
    trains = False
    for one in asked.suite.recipes if asked.train else _one_by_one(asked.suite.recipes):
        files = FilesThere(asked, one)
        absent |= files.absent
        if not files.there:
            continue
        made = _RecipeRuns(tuple(_runs(asked, one, width, files)))
        if reason := made.reason:
            absent |= dict.fromkeys((entry.name for entry in files.there), reason)
            continue
        missing |= {name: codes for name, codes in files.missing.items() if codes}
        trains = trains or made.train
        axis[one.name] = made.stages
    for name in asked.tasks:
        if name in absent:
            raise UserError(f"{name}: {absent[name]}")
    if not axis:
        raise UserError(f"{asked.suite.name}: nothing can be scored: {', '.join(f'{k}: {v}' for k, v in absent.items())}")
    return PlannedBenchmark(asked, _study(asked, axis, asked.seeds if trains else 1), absent, missing)


def _one_by_one(recipes: Iterable[RecipeTasks]) -> Iterator[RecipeTasks]:
    """A recipe for each task, where nothing is trained: a model may have the head of one of them alone."""
    for one in recipes:
        if not one.runs:
            yield one
            continue
        yield from (replace(one, name=entry.name, tasks={entry: codes}) for entry, codes in one.tasks.items())


def _without_groups(asked: Asked) -> Asked:
    """`asked` with the languages of a suite that are in a group, as `group:tail`, instead of its name. Raises UserError for a
    group that is none, and where the encoder's are not known."""
    groups = [word for word in asked.languages if word.startswith(GROUP)]
    if not groups:
        return asked
    if unnamed := [word for word in groups if word not in NAMED_GROUPS]:
        raise UserError(f"--languages: {unknown('group', unnamed[0], NAMED_GROUPS)}")
    said = [text.partition("=")[2] for text in asked.overrides if text.startswith("model.pretraining=")]
    read = what_was_read(Model(backbone=asked.model, pretraining=said[-1] if said else None), _place(asked))
    if not read.known:
        reason = "what the encoder has read is not known, so languages are in no group; give model.pretraining=…"
        raise UserError(f"--languages: {groups[0]}: {reason}")
    parts = {part for word in groups for part in NAMED_GROUPS[word]}
    codes = {code for codes in asked.suite.tasks.values() for code in codes if read.group(code) in parts}
    return replace(asked, languages=(*(word for word in asked.languages if word not in groups), *sorted(codes)))


def _check_languages(asked: Asked) -> None:
    there = {code for name, codes in asked.suite.tasks.items() if not asked.tasks or name in asked.tasks for code in codes}
    for code in asked.languages:
        if not any(same_language(code, one) for one in there):
            raise UserError(f"--languages: {unknown(f'language of {asked.suite.name}', code, there)}")


def _check_out(asked: Asked) -> None:
    """Raises UserError where the folder is another's, or contains the benchmark of another model or suite."""
    file = asked.out / FILE
    if not file.is_file():
        if asked.out.is_dir() and any(not path.name.startswith(".") for path in asked.out.iterdir()):
            raise UserError(
                f"{asked.out}: contains something other than a benchmark (no {FILE}); choose another folder (--out)"
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
    if about != (asked.suite.name, asked.model):
        raise UserError(f"{asked.out}: contains the benchmark of {' on '.join(about[::-1])}; choose another folder (--out)")


def _place(asked: Asked) -> str:
    """Where the model is: its folder, or the copy of a hub id that was fetched."""
    return found_model(Model(backbone=asked.model), asked.root).backbone


def _width(asked: Asked) -> int | None:
    """That of the encoder, where its configuration is here."""
    try:
        return shape_of(_place(asked)).width
    except UserError:
        return None


def _runs(asked: Asked, one: RecipeTasks, width: int | None, files: FilesThere) -> Iterator[Run]:
    """The runs of a recipe in their order, each with the model that it begins with where no other makes it. Raises UserError
    as a run file does."""
    recipes = one.runs if asked.train else ()
    for number, path in enumerate(recipes or (None,)):
        last = number == len(recipes) - 1 or not recipes
        values, source = read_yaml(path) if path else ({}, Source(asked.suite.source.path))
        values["evaluate"] = {**(values.get("evaluate") or {}), **_scored(files)} if last else None
        values |= {"name": one.name, "folder": str(asked.out / one.name)}
        for key, value in (("model.backbone", asked.model), ("data.root", str(asked.root))):
            put_value(values, key, value, source, str(asked.suite.source.path))
        for key, value in one.changes(width).items() if path else ():
            put_value(values, key, value, source, asked.suite.source.at(("recipes", one.name)))
        for text in asked.overrides:
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


def _scored(files: FilesThere) -> dict[str, Any]:
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
        given = [run.model_dump(mode="json", exclude_unset=True, exclude={"name", "folder", "seed"}) for run in self.runs]
        return {stage: {"run": sections} for stage, sections in zip(names, given, strict=True)}


def _study(asked: Asked, axis: Mapping[str, Mapping[str, Any]], seeds: int) -> Study:
    chained = any(BEFORE in stages for stages in axis.values())
    stages = {BEFORE: {}, TARGET: {"after": BEFORE}} if chained else {TARGET: {}}
    values = {
        "name": asked.suite.name,
        "folder": str(asked.out),
        "stages": stages,
        "axes": {"recipe": axis},
        "seeds": list(range(1, seeds + 1)),
    }
    source = Source(asked.out / FILE)
    study = validated(Study, values, source)
    study._source = source
    study.check()
    return study
