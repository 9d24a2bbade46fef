"""What follows from a run and can be known before its ranks start, each found once, when it is first needed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from xdist.config import Model, Run, recorded_run
from xdist.config.merge import Merge, with_places
from xdist.config.runtime import AUTO, AskedPrecision
from xdist.data.adapters import adapter_digest, folders_in
from xdist.data.aligned import maps_digest
from xdist.data.commits import commits
from xdist.data.fetched import check_place, is_offline, load_error, use_fetched_model
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.estimate.shapes import shape_of
from xdist.evaluation.request import Request
from xdist.files import Digests, digest, file_digest
from xdist.languages import Pretraining
from xdist.model.lineage import Lineage, base_of, join_lineages, read_lineage, stage_of
from xdist.resolve import trees as of_trees
from xdist.resolve.branching import with_languages
from xdist.resolve.encoder import Encoder, read_encoder, what_was_read
from xdist.resolve.subsets import Subsets
from xdist.resolve.teachers import teachers_of
from xdist.robust.word_links import word_files
from xdist.run import ds_config
from xdist.run.ds_config import DeepSpeed
from xdist.run.folder import RunFolder
from xdist.run.sinks import Start
from xdist.tasks.catalog import Task
from xdist.tasks.catalog import task as task_called

Purpose = Literal["train", "evaluate", "prepare"]
PARALLEL = "parallel"


@dataclass(frozen=True, slots=True)
class Found:
    """What looking at files and hardware gave on rank 0, for the other ranks, which may see other files or none yet."""

    model: Model
    encoder: Encoder | None
    deepspeed: DeepSpeed
    lineage: Lineage
    fetched: Mapping[str, str]
    evaluation: tuple[str, ...]
    pretraining: Pretraining
    micro_batch_tokens: int | None


@dataclass(frozen=True)
class ResolvedFacts:
    """What is requested (`run`) and what follows from it. A property raises UserError where the run cannot have it.

    `to_come`: an earlier run of the same submission will leave the model in `model.backbone`; `begins_with` is what is known of
    it before. `data_here`: whether the data are where this process runs; else no file is checked.
    """

    run: Run
    subsets: Subsets
    begins_with: Encoder | None = None
    data_here: bool = True
    to_come: bool = False

    @cached_property
    def scored(self) -> tuple[Subset, ...]:
        """The subsets to score; where the data are elsewhere those that are named."""
        return self.subsets.evaluation if self.data_here else self.subsets.evaluation_named

    @property
    def found(self) -> Found:
        evaluation = tuple(map(str, self.subsets.evaluation))
        lineage = self._lineage(self.deepspeed.precision)
        return Found(
            self.model,
            self.encoder,
            self.deepspeed,
            lineage,
            self.fetched,
            evaluation,
            self.pretraining,
            self.micro_batch_tokens,
        )

    @classmethod
    def of(cls, run: Run, found: Found) -> Self:
        """`run` with what was found elsewhere: nothing is looked at again."""
        resolved = cls(run, Subsets(run, found.evaluation, found.pretraining))
        for name in ("model", "encoder", "deepspeed", "lineage", "fetched", "pretraining", "micro_batch_tokens"):
            resolved.__dict__[name] = getattr(found, name)  # as their cached properties would
        return resolved

    @classmethod
    def recorded(cls, folder: RunFolder) -> Self:
        """A run as its folder says it, for any present path."""
        run = recorded_run(folder.config)
        return cls(run.model_copy(update={"folder": folder.path}), Subsets(run))

    def read(self, work: Purpose) -> tuple[Subset, ...]:
        """The subsets that `work` reads."""
        trained = () if work == "evaluate" else self.subsets.trained
        return (*trained, *self.subsets.scored, *(self.subsets.aligned if self.data_here else ()))

    @cached_property
    def heads(self) -> Mapping[str, tuple[Task, ...]]:
        """The heads that training makes, by name, each with the tasks that share it."""
        found: dict[str, dict[Task, None]] = {}
        for subset in self.subsets.training:
            found.setdefault(subset.task.head, {})[subset.task] = None
        return {name: tuple(tasks) for name, tasks in found.items()}

    @property
    def trained_files(self) -> tuple[Path, ...]:
        """The files that training reads: those of its subsets, and those of its methods."""
        root = self.run.data.root
        of_subsets = (
            path for subset in self.subsets.trained for path in subset.task.paths(root, subset.split, subset.language)
        )
        return (*of_subsets, *self.run.method_files, *self.word_files.values())

    @cached_property
    def word_files(self) -> Mapping[str, Path]:
        """By language the dictionary, or the links, of the parallel text that is trained on word by word."""
        train = self.run.train
        return word_files(train.parallel, languages_of(self.subsets.training)) if train else {}

    @cached_property
    def aligned_word_files(self) -> Mapping[str, Path]:
        """The same of what maps are fitted on."""
        return word_files(self.run.align, languages_of(self.subsets.aligned)) if self.run.align else {}

    @cached_property
    def folder(self) -> RunFolder:
        return RunFolder(self.run.folder)

    @cached_property
    def model(self) -> Model:
        """The section `model` with the folder of a fetched copy instead of a hub id, and the languages of its branches."""
        subsets = self.subsets.training if self.run.train and self.run.model.branches else ()
        return with_languages(use_fetched_model(self.run.model, self.run.data.root), subsets)

    @cached_property
    def merge(self) -> Merge | None:
        """The section `merge` with the folders of fetched copies instead of hub ids. Raises UserError for a stage, which only
        a study has."""
        merge = self.run.merge
        if merge is None:
            return None
        for number, ingredient in enumerate(merge.models):
            if ingredient.stage is not None:
                raise self.run.error(("merge", "models", number, "stage"), "only a study has stages; give a model")
        return with_places(
            merge,
            lambda place: use_fetched_model(self.run.model.model_copy(update={"backbone": place}), self.run.data.root).backbone,
        )

    @property
    def teachers(self) -> tuple[Model | None, ...]:
        """Of each training subset the section of the model that it is learnt from, where there is one; empty without
        teachers."""
        return teachers_of(self.run.train, self.subsets.training, self.run.data.root)

    @property
    def teacher_places(self) -> tuple[str, ...]:
        """Of the models that are learnt from, each once."""
        return tuple(dict.fromkeys(teacher.backbone for teacher in self.teachers if teacher))

    @property
    def parallel_before(self) -> tuple[Subset, ...]:
        """The parallel text that trainings before this one read, of the model that it begins with, of those that it merges and
        of its teacher, as far as it is below the data root."""
        places = [self.model.backbone, *(self.merge.used if self.merge else ())]
        places += self.teacher_places
        root, found = self.run.data.root, dict[Subset, None]()
        for entry in (entry for place in places for stage in read_lineage(place) for entry in stage.tasks):
            try:
                task = task_called(entry.task, self.run.data.tasks, self.run.plugins, root)
            except UserError:  # your own task that is not described here
                continue
            if task.translates:
                subsets = (Subset(task, "train", code) for code in entry.languages if task.has_language("train", code))
                found |= dict.fromkeys(subset for subset in subsets if task.is_there(root, "train", subset.language))
        return tuple(found)

    @property
    def align(self) -> dict[str, Any] | None:
        """What of the section `align` decides on predictions, as scores.json keeps it. Raises UserError for a folder that holds
        no maps."""
        section = self.run.align
        if section is None:
            return None
        values = section.model_dump(mode="json")
        if section.folder is not None:
            values["folder"] = maps_digest(Path(section.folder))
        if words := {code: file_digest(path) for code, path in self.aligned_word_files.items() if path.is_file()}:
            values["words"] = words
        return values

    @cached_property
    def encoder(self) -> Encoder | None:
        """Facts of the encoder that training begins with; None for one that is not here, but on the hub or with the data."""
        if self.to_come and not Path(self.model.backbone).is_dir():
            return self.begins_with
        if not self.data_here and not Path(self.model.backbone).is_dir():
            return None
        check_place(self.model.backbone)
        encoder = read_encoder(self.model.backbone)
        if encoder is None and is_offline():
            raise load_error(self.model.backbone, "", OSError())
        return encoder

    @property
    def deepspeed_file(self) -> Path | None:
        """As the run says it; what `auto` became when the run was started it stays. None where the hardware is not known
        yet."""
        setting = self.run.runtime.deepspeed
        name = (self.folder.zero or setting) if setting == AUTO else setting
        return None if name == AUTO else ds_config.find(name)

    @cached_property
    def deepspeed(self) -> DeepSpeed:
        clip = self.run.train.clip if self.run.train else None
        file = self.deepspeed_file or ds_config.find(
            ds_config.choose_file(self._parameters, ds_config.resolve_precision(self.precision))
        )
        return ds_config.settings(file, self.precision, clip)

    @property
    def _parameters(self) -> int | None:
        """Of the encoder; None of one that is not here, or of a kind whose sizes are not known."""
        try:
            return shape_of(self.model.backbone).parameters
        except UserError:
            return None

    @cached_property
    def micro_batch_tokens(self) -> int | None:
        """What `auto` became when the run was started; None where it is yet to be chosen."""
        return self.folder.micro_batch_tokens

    @property
    def precision(self) -> AskedPrecision:
        """As the run says it; what `auto` became when the run was started it stays, on any hardware where it resumes."""
        wanted = self.run.runtime.precision
        return (self.folder.precision or wanted) if wanted == "auto" else wanted

    @cached_property
    def fetched(self) -> Mapping[str, str]:
        """The commit of each repository of the hub that is read, by its id."""
        used = (*self.subsets.trained, *self.subsets.scored)
        return commits(self.run.model.backbone, self.run.data.root, used)

    @cached_property
    def lineage(self) -> Lineage:
        """The trainings behind the model that is scored: those of the backbone, then this one."""
        return self._lineage(self.precision)

    def _lineage(self, precision: AskedPrecision) -> Lineage:
        before = read_lineage(self.model.backbone)
        if self.run.train is None:
            return join_lineages([before, *map(read_lineage, self.merge.used)]) if self.merge else before
        subsets = ((subset.task, subset.language) for subset in self.subsets.training)
        values = self.run.dump()
        values["runtime"]["precision"] = precision
        if self.run.model.pretraining is not None:  # the complete list, since its file may not be there where the model goes
            values["model"]["pretraining"] = self.pretraining.record
        behind = list(before)
        for stage in (stage for place in self.teacher_places for stage in read_lineage(place)):
            behind += [] if stage in behind else [stage]
        base = None if self.to_come else base_of(self.model.backbone)
        return (*behind, stage_of(self.run.name, values, subsets, base))

    @cached_property
    def pretraining(self) -> Pretraining:
        """What the encoder has read: as the run says, else an earlier training of it, else its configuration or, of one that is
        not here, its name. Raises UserError for a list that is none."""
        return what_was_read(self.run.model, self.model.backbone)

    @cached_property
    def request(self) -> Request:
        """What is to be evaluated. Only of a run that evaluates."""
        run = self.run
        assert run.evaluate
        return Request(
            run.name,
            self.folder,
            self.subsets.evaluation,
            run.data,
            run.evaluate,
            self.scored_model,
            run.makes_model,
            self.lineage,
            self.pretraining.record,
            run.runtime.precision,
            self.align,
            run.error,
            self._adapter_digest if run.train is None else None,
            of_trees.parses_of(run.model.syntax, self.subsets.evaluation) or None,
        )

    @property
    def _adapter_digest(self) -> str | None:
        """Of the adapters that a run gives a model that it does not train."""
        adapter, digests = self.run.model.adapter, Digests()
        if adapter is None:
            return None
        return digest(
            adapter.fallback, {".".join(key): adapter_digest(Path(place), digests) for key, place in folders_in(adapter)}
        )

    @property
    def start(self) -> Start:
        """What sinks are opened for."""
        return Start(self.run.folder, self.run.name, self.run.dump())

    @property
    def scored_model(self) -> str:
        """The model that is evaluated: the one that the run trains or merges, or the backbone unchanged."""
        return str(self.folder.model) if self.run.makes_model else self.model.backbone


def languages_of(subsets: Iterable[Subset]) -> list[str]:
    """Those of parallel text, each once."""
    return list(dict.fromkeys(subset.language for subset in subsets if subset.task.family == PARALLEL))
