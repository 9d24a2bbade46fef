"""What a model was trained on: a file next to its weights that is kept with them, however they are continued or exported."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from xdist.config import recorded_run
from xdist.data.fetched import from_hub
from xdist.errors import UserError
from xdist.files import read_json
from xdist.languages import by_size
from xdist.tasks.catalog import Share, Task, sharing, unchecked
from xdist.tasks.catalog.language_model import HEAD as LANGUAGE_MODEL_HEAD
from xdist.tasks.catalog.language_model import TASKS as LANGUAGE_MODELS

FILE = "trained_on.json"


class TrainedTask(BaseModel):
    model_config = ConfigDict(frozen=True)

    task: str
    head: str
    languages: tuple[str, ...]


class Base(BaseModel):
    """A model of the hub that a training began with; without a `commit` where it came in another way than by `xdist fetch`."""

    model_config = ConfigDict(frozen=True)

    id: str
    commit: str | None = None


class _Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Model(_Loose):
    backbone: str
    freeze_embeddings: bool
    pretraining: dict[str, Any] | None = None


class _TrainTask(_Loose):
    task: str
    languages: list[str]
    weight: float | None


class _Select(_Loose):
    languages: list[str] | Literal["all"]


class _Train(_Loose):
    tasks: list[_TrainTask]
    steps: int | None
    epochs: float | None
    batch_size: int
    learning_rate: float
    select: _Select | None


class _Method(_Loose):
    method: str


class _Description(_Loose):
    """What is read of a training's description, here and elsewhere."""

    seed: int
    model: _Model
    train: _Train
    robust: list[_Method]
    precision: str


class PastTraining(BaseModel):
    """One training: `description` has of its run what decided on the result, and the precision; `base` is the model of the hub
    that it began with, None for a folder that is of no hub as far as is known."""

    model_config = ConfigDict(frozen=True)

    run: str
    tasks: tuple[TrainedTask, ...]
    description: dict[str, Any]
    base: Base | None = None

    @property
    def backbone(self) -> str:
        return str(self.description["model"]["backbone"])

    @property
    def pretraining(self) -> dict[str, Any] | None:
        """The record of what its encoder had read, where its description said it."""
        record: dict[str, Any] | None = self.description.get("model", {}).get("pretraining")
        return record


Lineage = tuple[PastTraining, ...]
_KIND = TypeAdapter(tuple[PastTraining, ...])


def base_of(place: str) -> Base | None:
    """The model of the hub that the backbone at `place` is, as far as it is known."""
    on_hub = from_hub(place)
    return Base(id=on_hub[0], commit=on_hub[1]) if on_hub else None


def stage_of(
    run: str, description: dict[str, Any], subsets: Iterable[tuple[Task, str]], base: Base | None = None
) -> PastTraining:
    """The training of a run on `subsets`, each a task and a language; `description` as config.yaml has it."""
    languages: dict[Task, list[str]] = {}
    for entry, language in subsets:
        languages.setdefault(entry, []).append(language)
    tasks = tuple(TrainedTask(task=entry.name, head=entry.head, languages=tuple(codes)) for entry, codes in languages.items())
    return PastTraining(run=run, tasks=tasks, description=_kept_keys(description), base=base)


def _kept_keys(description: dict[str, Any]) -> dict[str, Any]:
    robust = description["robust"]
    methods = [method for method in (robust if isinstance(robust, list) else [robust]) if method["method"] != "none"]
    values = {key: description[key] for key in ("seed", "model", "train")}
    precision, max_length = description["runtime"]["precision"], description["data"]["max_length"]
    return {**values, "robust": methods, "precision": precision, "max_length": max_length}


def read_lineage(model: str) -> Lineage:
    """The trainings behind a model folder, the first one first; none of what was never trained by xdist, such as a hub id. Of a
    folder that an earlier version left, the run that it belongs to gives it. Raises UserError for a file that is not ours."""
    path = Path(model) / FILE
    if not path.is_file():
        return _of_run(Path(model), set())
    try:
        lineage = _KIND.validate_python(read_json(path))
        for stage in lineage:
            _Description.model_validate(stage.description)
        return lineage
    except (ValidationError, UserError):
        raise UserError(f"{path}: is not what xdist writes for a model") from None


def join_lineages(many: Sequence[Lineage]) -> Lineage:
    """Of several models whose weights are averaged: each training once, in the order in which it is met."""
    trainings: list[PastTraining] = []
    for stage in (stage for lineage in many for stage in lineage):
        if stage not in trainings:
            trainings.append(stage)
    return tuple(trainings)


def dump_lineage(lineage: Lineage) -> list[dict[str, Any]]:
    return [stage.model_dump(mode="json") for stage in lineage]


def without_paths(lineage: Lineage) -> Lineage:
    """As it may be published: of a path of this machine its last name, of a backbone its name on the hub where it has
    one."""
    published = []
    for stage in lineage:
        description = _published_name(stage.description)
        if stage.base:
            description["model"] = {**description["model"], "backbone": stage.base.id}
        published.append(stage.model_copy(update={"description": description}))
    return tuple(published)


def _published_name(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _published_name(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_published_name(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def languages_of(lineage: Lineage, scored: Task) -> set[str]:
    """Languages in which the head that the task is scored with was trained."""
    entries = (entry for stage in lineage for entry in stage.tasks if scored.head == entry.head or scored.name == entry.task)
    return {language for entry in entries for code in entry.languages for language in (code, *_beside(entry.task, code))}


def _beside(name: str, language: str) -> tuple[str, ...]:
    """The languages of a task's texts of a code, as far as the task is known here."""
    try:
        return unchecked(name).written_in(language)
    except UserError:  # your own task, or a plugin's
        return ()


def read_since(lineage: Lineage) -> list[str]:
    """Languages of the running text that the encoder was trained on after its pre-training."""
    ours = {entry.name for entry in LANGUAGE_MODELS}
    entries = (entry for stage in lineage for entry in stage.tasks if entry.head == LANGUAGE_MODEL_HEAD or entry.task in ours)
    return by_size({code for entry in entries for code in entry.languages})


def languages_chosen_in(lineage: Lineage, scored: Task) -> set[str]:
    """Languages whose dev sets chose a model that the head of the task was trained in: those of the tasks that trained it."""
    languages: set[str] = set()
    for stage in lineage:
        select = stage.description["train"]["select"]
        for entry in stage.tasks if select else ():
            if scored.head == entry.head or scored.name == entry.task:
                languages |= _chosen_by(entry.task, select["languages"], scored)
    return languages


def _chosen_by(name: str, languages: Sequence[str] | Literal["all"], scored: Task) -> set[str]:
    """Of `train.select.languages`, the ones that task `name` has dev sets of, by its codes."""
    try:
        trained = scored if name == scored.name else unchecked(name)
    except UserError:  # your own task, whose description is not here: as if it had the languages of the one that is scored
        return set(scored.languages if languages == "all" else languages)
    if "dev" not in trained.files:
        return set()
    return set(trained.languages if languages == "all" else map(trained.own, languages))


def _of_run(model: Path, seen: set[Path]) -> Lineage:
    """As version 0.1.0 left it: the run is the folder around the model."""
    config = model.parent / "config.yaml"
    if model.name not in ("model", "best") or not config.is_file() or config in seen:
        return ()
    run = recorded_run(config)
    if run.train is None:
        return ()
    heads = [_head(entry.task, run.data.tasks, run.plugins, run.train.share) for entry in run.train.tasks]
    tasks = tuple(
        TrainedTask(task=entry.task, head=head, languages=entry.languages)
        for entry, head in zip(run.train.tasks, heads, strict=True)
    )
    before = _of_run(Path(run.model.backbone), {*seen, config})
    return (*before, PastTraining(run=run.name, tasks=tasks, description=_kept_keys(run.dump())))


def _head(name: str, described: Path | None, plugins: Sequence[str], share: Share | None) -> str:
    try:
        entry = unchecked(name, described, plugins)
    except UserError:  # your own task whose description is not here
        return name
    return (sharing(entry, share) if share else entry).head
