"""A run with all that can be known of it before its ranks start, found once where the run enters.

Every door (commands, train.py, evaluate.py, the API) calls `resolve`; the rooms below take what they need from the result:
subsets, a folder, a batch size, neither the run nor the result itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from xdist.config import Model, Run, recorded_run
from xdist.config.run import AskedPrecision
from xdist.data.commits import commits
from xdist.data.fetched import check_place, found_model, not_loaded, offline
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.evaluation.request import Request
from xdist.model.finetuned import read_finetuned
from xdist.model.lineage import Lineage, read_lineage, stage_of
from xdist.resolve.encoder import Encoder, check_recomputing, check_subsets, read_encoder
from xdist.resolve.subsets import Subsets
from xdist.run import ds_config
from xdist.run.ds_config import DeepSpeed
from xdist.run.folder import RunFolder
from xdist.run.sinks import SINKS, Start
from xdist.tasks.catalog import Task

Purpose = Literal["train", "evaluate", "prepare"]


@dataclass(frozen=True, slots=True)
class Found:
    """What looking at files and hardware gave on rank 0, for the other ranks, which may see other files or none yet."""

    model: Model
    encoder: Encoder | None
    deepspeed: DeepSpeed
    lineage: Lineage
    fetched: Mapping[str, str]
    evaluation: tuple[str, ...]


@dataclass(frozen=True)
class Resolved:
    """What is asked for (`run`) and what follows from it. A property raises UserError where the run cannot have it.

    `to_come`: an earlier run of the same submission will leave the model in `model.backbone`; `begins_with` is what is known of
    it before. `data_here`: whether the data lie where this process runs; else no file is looked at.
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
        return Found(self.model, self.encoder, self.deepspeed, lineage, self.fetched, evaluation)

    @classmethod
    def of(cls, run: Run, found: Found) -> "Resolved":
        """`run` with what was found elsewhere: nothing is looked at again."""
        resolved = cls(run, Subsets(run, found.evaluation))
        for name in ("model", "encoder", "deepspeed", "lineage", "fetched"):
            resolved.__dict__[name] = getattr(found, name)  # as their cached properties would
        return resolved

    @classmethod
    def recorded(cls, folder: RunFolder) -> "Resolved":
        """A run as its folder says it, wherever that lies now."""
        run = recorded_run(folder.config)
        return cls(run.model_copy(update={"folder": folder.path}), Subsets(run))

    def read(self, work: Purpose) -> tuple[Subset, ...]:
        """The subsets that `work` reads."""
        trained = () if work == "evaluate" else self.subsets.trained
        return (*trained, *self.subsets.scored)

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
        of_subsets = (path for one in self.subsets.trained for path in one.task.paths(root, one.split, one.language))
        return (*of_subsets, *self.run.method_files)

    @cached_property
    def folder(self) -> RunFolder:
        return RunFolder(self.run.folder)

    @cached_property
    def model(self) -> Model:
        """The section `model` with the folder of a fetched copy in place of a hub id."""
        return found_model(self.run.model, self.run.data.root)

    @cached_property
    def encoder(self) -> Encoder | None:
        """Facts of the encoder that training begins with; None for one that is not here, but on the hub or with the data."""
        if self.to_come:
            return self.begins_with
        if not self.data_here and not Path(self.model.backbone).is_dir():
            return None
        check_place(self.model.backbone)
        encoder = read_encoder(self.model.backbone)
        if encoder is None and offline():
            raise not_loaded(self.model.backbone, "", OSError())
        return encoder

    @cached_property
    def deepspeed_file(self) -> Path:
        return ds_config.find(self.run.runtime.deepspeed)

    @cached_property
    def deepspeed(self) -> DeepSpeed:
        clip = self.run.train.clip if self.run.train else None
        return ds_config.settings(self.deepspeed_file, self.precision, clip)

    @property
    def precision(self) -> AskedPrecision:
        """As the run says it; what `auto` became when the run was begun it stays, on whatever hardware it goes on."""
        asked = self.run.runtime.precision
        return (self.folder.precision or asked) if asked == "auto" else asked

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
            return before
        subsets = ((subset.task, subset.language) for subset in self.subsets.training)
        values = self.run.dump()
        values["runtime"]["precision"] = precision
        return (*before, stage_of(self.run.name, values, subsets))

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
            run.train is not None,
            self.lineage,
            run.runtime.precision,
            run.error,
        )

    @property
    def start(self) -> Start:
        """What sinks are opened for."""
        return Start(self.run.folder, self.run.name, self.run.dump())

    @property
    def scored_model(self) -> str:
        """The model that is evaluated: the trained one, or the backbone as it came."""
        return str(self.folder.model) if self.run.train else self.model.backbone

    def check_sinks(self) -> None:
        """Raises UserError for one that neither is ours nor comes from the run's plugins."""
        for number, name in enumerate(self.run.runtime.sinks):
            try:
                SINKS.get(name, self.run.plugins)
            except UserError as error:
                raise self.run.error(("runtime", "sinks", number), str(error)) from None

    def check_files(self, used: Sequence[Subset]) -> None:
        """Raises UserError for one that is not there."""
        root = self.run.data.root
        for subset in [*used, *self.subsets.pools]:
            for path in (subset.task.pairs_of or subset.task).paths(root, subset.split, subset.language):
                if not subset.task.fields and not path.is_file():
                    raise UserError(f"{path}: no such file ({subset})")
        if self.run.train and not self.folder.model.is_dir():
            self.run.check_method_files()

    def check_encoder(self, used: Sequence[Subset]) -> None:
        """Raises UserError for what the encoder has not: positions, a layer, a head."""
        run, encoder = self.run, self.encoder
        if encoder is None:
            return
        for length, what, key in self._lengths(used):
            if encoder.positions is not None and length > encoder.positions:
                message = f"{what} is more than the {encoder.positions} tokens that {encoder.place} has positions for"
                raise run.error(key, message) if key else UserError(f"{message}; give data.max_length")
        if run.train:
            check_recomputing(run.model, encoder.kind)
        check_subsets(encoder, used)
        if run.evaluate and run.evaluate.layer is not None and run.evaluate.layer > encoder.layers:
            message = f"there is no layer {run.evaluate.layer}: {encoder.place} has {encoder.layers}"
            raise run.error(("evaluate", "layer"), message)
        held = self.heads if run.train else encoder.heads
        elsewhere = None if run.train or held else read_finetuned(self.model.backbone)
        if elsewhere or (run.train is None and not held and run.model.labels is not None):
            from xdist.model.folder import check_finetuned  # reads the weights of the head, with torch

            check_finetuned(self.model.backbone, dict.fromkeys(subset.task for subset in self.scored), run.model.labels)
        for subset in () if elsewhere else self.scored:
            if subset.task.needs_head and subset.task.head not in held:
                place = self.scored_model
                there = ", ".join(held) or "none"
                raise UserError(f"{place}: holds no head '{subset.task.head}' (it has: {there}); train that task first")

    def _lengths(self, used: Sequence[Subset]) -> Iterator[tuple[int, str, tuple[str, str] | None]]:
        """(tokens, how the user may have said so, the key that says it)."""
        if most := self.run.data.max_length:
            yield most, f"data.max_length={most}", ("data", "max_length")
            return
        for entry in dict.fromkeys(subset.task for subset in used):
            yield entry.max_length, f"{entry.max_length}, the length of '{entry.name}',", None


def resolve(
    run: Run,
    work: Purpose = "train",
    *,
    to_come: bool = False,
    begins_with: Encoder | None = None,
    data_here: bool = True,
    starts_here: bool = True,
) -> Resolved:
    """`run`, checked as far as `work` on it can be before its ranks start; `to_come`, `begins_with` and `data_here` as in
    `Resolved`. `starts_here`: the ranks start on this machine, and now: its hardware counts, and a run that was to be trained,
    and of which only the evaluation is asked for, has its model. Raises UserError: the line that the start would end with."""
    resolved = Resolved(run, Subsets(run), begins_with, data_here, to_come)
    if work == "train" and run.train is None:
        raise UserError(f"run '{run.name}' has no section 'train'; evaluate it with: xdist evaluate RUN.yaml")
    if work == "evaluate" and run.evaluate is None:
        raise UserError(f"run '{run.name}' has no section 'evaluate'")
    resolved.folder.check(run)
    resolved.check_sinks()
    ds_config.check(resolved.deepspeed_file, run.runtime.precision)
    if starts_here and work != "prepare" and (resolved.folder.begun_in or resolved.precision == "fp16"):
        resolved.folder.check_precision(resolved.deepspeed)  # also says where the hardware has no fp16
    if data_here and not run.data.root.is_dir():
        raise run.error(("data", "root"), f"{run.data.root}: no such folder")
    # Also asked for where nothing is trained: scores say what their model was trained on.
    trained = resolved.subsets.training if work == "evaluate" else resolved.subsets.trained
    used = [*(() if work == "evaluate" else trained), *resolved.scored]
    if work == "evaluate" and run.train and starts_here and not resolved.folder.model.is_dir():
        raise UserError(f"{resolved.folder.model}: not there yet; train the run first: xdist train RUN.yaml")
    if data_here:
        resolved.check_files(used)
    resolved.check_encoder(used)
    return resolved
