"""A run with all that can be known of it before its ranks start, found once where the run enters.

Every door (commands, train.py, evaluate.py, the API) calls `resolve`; the rooms below take what they need from the result:
subsets, a folder, a batch size, neither the run nor the result itself.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from xdist.config import Model, Run, recorded_run
from xdist.config.merge import Merge, placed
from xdist.config.reader import KeyPath
from xdist.config.run import AUTO, AskedPrecision
from xdist.data.adapters import adapter_digest, adapter_in, folders_in
from xdist.data.aligned import maps_digest
from xdist.data.commits import commits
from xdist.data.fetched import check_place, found_model, may_be_hub_id, not_loaded, offline
from xdist.data.heads import heads_in
from xdist.data.subset import Subset
from xdist.errors import UserError, unknown
from xdist.estimate.shapes import shape_of
from xdist.evaluation.request import Request
from xdist.files import Digests, digest, file_digest
from xdist.formats.pharaoh import LinkFile
from xdist.languages import LANGUAGES, Pretraining
from xdist.languages import found as known_language
from xdist.model.finetuned import read_finetuned
from xdist.model.layers import check_frozen
from xdist.model.lineage import Lineage, base_of, joined, read_lineage, stage_of
from xdist.resolve.encoder import Encoder, check_recomputing, check_subsets, read_encoder, what_was_read
from xdist.resolve.subsets import Subsets
from xdist.robust.word_links import Linked, check_words, word_files
from xdist.run import ds_config
from xdist.run.ds_config import DeepSpeed
from xdist.run.folder import RunFolder
from xdist.run.sinks import SINKS, Start
from xdist.tasks.catalog import Task
from xdist.tasks.catalog import task as task_called
from xdist.tasks.families import FAMILIES

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
    def of(cls, run: Run, found: Found) -> "Resolved":
        """`run` with what was found elsewhere: nothing is looked at again."""
        resolved = cls(run, Subsets(run, found.evaluation, found.pretraining))
        for name in ("model", "encoder", "deepspeed", "lineage", "fetched", "pretraining", "micro_batch_tokens"):
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
        of_subsets = (path for one in self.subsets.trained for path in one.task.paths(root, one.split, one.language))
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
        """The section `model` with the folder of a fetched copy in place of a hub id."""
        return found_model(self.run.model, self.run.data.root)

    @cached_property
    def merge(self) -> Merge | None:
        """The section `merge` with the folders of fetched copies in place of hub ids. Raises UserError for a stage, which only
        a study has."""
        merge = self.run.merge
        if merge is None:
            return None
        for number, one in enumerate(merge.models):
            if one.stage is not None:
                raise self.run.error(("merge", "models", number, "stage"), "only a study has stages; give a model")
        return placed(
            merge, lambda place: found_model(self.run.model.model_copy(update={"backbone": place}), self.run.data.root).backbone
        )

    @property
    def teacher(self) -> Model | None:
        """The section of the model that is learnt from, where one is; None of a stage of a study that has no place yet."""
        distil = self.run.train and self.run.train.distil
        if not distil or not distil.weight or distil.teacher is None:
            return None
        return found_model(Model(backbone=distil.teacher), self.run.data.root)

    @property
    def parallel_before(self) -> tuple[Subset, ...]:
        """The parallel text that trainings before this one read, of the model that it begins with, of those that it merges and
        of its teacher, as far as it lies below the data root."""
        places = [self.model.backbone, *(self.merge.used if self.merge else ())]
        places += [self.teacher.backbone] if self.teacher else []
        root, found = self.run.data.root, dict[Subset, None]()
        for entry in (entry for place in places for stage in read_lineage(place) for entry in stage.tasks):
            try:
                one = task_called(entry.task, self.run.data.tasks, self.run.plugins, root)
            except UserError:  # a task of one's own that is not described here
                continue
            if one.family == PARALLEL:
                subsets = (Subset(one, "train", code) for code in entry.languages if one.has_language("train", code))
                found |= dict.fromkeys(subset for subset in subsets if one.is_there(root, "train", subset.language))
        return tuple(found)

    def check_adapter(self) -> None:
        """Raises UserError for an adapter that is not there, or cannot be on this encoder."""
        adapter = self.run.model.adapter
        if adapter is None:
            return
        key = ("model", "adapter")
        for code, one in adapter.languages.items():
            if known_language(code) is None:
                raise self.run.error((*key, "languages", code), unknown("language", code, LANGUAGES))
            if one.stage is not None:
                raise self.run.error((*key, "languages", code, "stage"), "only a study has stages; give a model")
        for inner, place in folders_in(adapter) if self.data_here and not self.to_come else ():
            found = adapter_in(place)
            if found is None or (inner[0] == "languages" and found.kind != "bottleneck"):
                what = "no such folder" if not Path(place).is_dir() else "holds no such adapter"
                raise self.run.error((*key, *inner), f"{place}: {what}")

    def check_teacher(self) -> None:
        """Raises UserError for one that cannot teach this run, and for a stage, which only a study has."""
        distil = self.run.train and self.run.train.distil
        if distil and distil.stage is not None:
            raise self.run.error(("train", "distil", "stage"), "only a study has stages; give a teacher")
        if self.teacher is None or not self.data_here:
            return
        place = self.teacher.backbone
        taught = [subset.task for subset in self.subsets.training if subset.task.family == "classification"]
        key = ("train", "distil", "teacher")
        if not taught:
            raise self.run.error(key, "no task of classification is trained, and only these are distilled")
        if self.to_come and not Path(place).is_dir():
            return
        heads = {name: entry["labels"] for name, entry in heads_in(Path(place)).items()}
        for task in taught:
            if list(heads.get(task.head, ())) != list(task.labels):
                there = ", ".join(heads) or "none"
                message = f"{place}: holds no head '{task.head}' with the labels of '{task.name}' (it has: {there})"
                raise self.run.error(key, message)

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
        if encoder is None and offline():
            raise not_loaded(self.model.backbone, "", OSError())
        return encoder

    @property
    def deepspeed_file(self) -> Path | None:
        """As the run says it; what `auto` became when the run was begun it stays. None where the hardware has yet to tell."""
        asked = self.run.runtime.deepspeed
        name = (self.folder.zero or asked) if asked == AUTO else asked
        return None if name == AUTO else ds_config.find(name)

    @cached_property
    def deepspeed(self) -> DeepSpeed:
        clip = self.run.train.clip if self.run.train else None
        file = self.deepspeed_file or ds_config.find(ds_config.chosen(self._parameters, ds_config.becomes(self.precision)))
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
        """What `auto` became when the run was begun; None where it is yet to be chosen."""
        return self.folder.micro_batch_tokens

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
            return joined([before, *map(read_lineage, self.merge.used)]) if self.merge else before
        subsets = ((subset.task, subset.language) for subset in self.subsets.training)
        values = self.run.dump()
        values["runtime"]["precision"] = precision
        if self.run.model.pretraining is not None:  # the whole list, since its file may not be there where the model goes
            values["model"]["pretraining"] = self.pretraining.record
        taught = read_lineage(self.teacher.backbone) if self.teacher else ()
        base = None if self.to_come else base_of(self.model.backbone)
        return (*before, *(stage for stage in taught if stage not in before), stage_of(self.run.name, values, subsets, base))

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
        """The model that is evaluated: the one that the run trains or merges, or the backbone as it came."""
        return str(self.folder.model) if self.run.makes_model else self.model.backbone

    def check_sinks(self) -> None:
        """Raises UserError for one that neither is ours nor comes from the run's plugins, or that lacks a package."""
        for number, name in enumerate(self.run.runtime.sinks):
            try:
                SINKS.get(name, self.run.plugins).check()
            except UserError as error:
                raise self.run.error(("runtime", "sinks", number), str(error)) from None

    def check_files(self, used: Sequence[Subset]) -> None:
        """Raises UserError for one that is not there."""
        root = self.run.data.root
        for subset in [*used, *self.subsets.pools]:
            for path in (subset.task.pairs_of or subset.task).paths(root, subset.split, subset.language):
                if not subset.task.fields and not path.is_file():
                    raise UserError(f"{path}: no such file ({subset})")
        align = self.run.align
        if align and align.tasks and not self.subsets.aligned:
            names = ", ".join(entry.task for entry in align.tasks)
            raise self.run.error(("align", "tasks"), f"no language that is evaluated has its files of '{names}'")
        for subset in self.subsets.aligned:
            if not subset.task.is_there(root, subset.split, subset.language):
                (path, *_) = subset.task.paths(root, subset.split, subset.language)
                raise UserError(f"{path}: no such file ({subset})")
        if self.run.train and not self.folder.model.is_dir():
            self.run.check_method_files()
            self._check_words(("train", "parallel"), self.run.train.parallel, self.word_files, self.subsets.training)
        if align:
            self._check_words(("align",), align, self.aligned_word_files, self.subsets.aligned)

    def _check_words(self, key: KeyPath, section: Linked, files: Mapping[str, Path], subsets: Sequence[Subset]) -> None:
        """Raises UserError for a dictionary that cannot be read, and links that do not belong to their text."""
        root = self.run.data.root
        try:
            check_words(section, files)
        except UserError as error:
            raise self.run.error((*key, "links" if section.dictionaries is None else "dictionaries"), str(error)) from None
        linked = [one for one in subsets if section.links is not None and one.task.family == PARALLEL]
        for subset in linked:
            if subset.task.fields and len(found := subset.task.sources(root, subset.split, subset.language)) != 1:
                raise UserError(f"{files[subset.language]}: {subset} has {len(found)} files; links are of the lines of one")
            LinkFile(files[subset.language]).check_against(subset.task.examples(root, subset.split, subset.language))

    def check_rows(self) -> None:
        """Raises UserError for a training set with fewer examples than are to be chosen from it; that many are read."""
        root, train = self.run.data.root, self.run.train
        for subset, (number, entry) in zip(self.subsets.training, train.by_subset if train else (), strict=True):
            if entry.rows is None or train is None:
                continue
            if subset.task.fields:
                raise train.error(
                    (*train.key_of(number), "rows"), f"'{entry.task}' is running text, without examples: give limit"
                )
            there = sum(1 for _ in islice(subset.task.examples(root, subset.split, subset.language), entry.rows))
            if there < entry.rows:
                raise train.error((*train.key_of(number), "rows"), f"{subset} has {there:,} examples, not {entry.rows:,}")

    @property
    def _trains_heads(self) -> bool:
        """Whether weights of a head are trained beside the encoder's."""
        families = {subset.task.family for subset in self.subsets.training}
        return any(FAMILIES.get(family).head and family != "dual-encoder" for family in families)

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
            check_frozen(run.model, encoder.described, encoder.kind, encoder.layers, self._trains_heads)
            if run.train.layer_decay is not None and not (encoder.described.layers or encoder.described.counter):
                raise run.error(
                    ("train", "layer_decay"), f"the layers of encoders of type '{encoder.kind}' share their weights"
                )
            if (layer := run.train.parallel.layer) is not None and layer > encoder.layers:
                message = f"there is no layer {layer}: {encoder.place} has {encoder.layers}"
                raise run.error(("train", "parallel", "layer"), message)
        check_subsets(encoder, used)
        if run.evaluate and run.evaluate.layer is not None and run.evaluate.layer > encoder.layers:
            message = f"there is no layer {run.evaluate.layer}: {encoder.place} has {encoder.layers}"
            raise run.error(("evaluate", "layer"), message)
        held = self.heads if run.train else self._held(encoder)
        elsewhere = None if run.makes_model or held else read_finetuned(self.model.backbone)
        if elsewhere or (not run.makes_model and not held and run.model.labels is not None):
            from xdist.model.folder import check_finetuned  # reads the weights of the head, with torch

            check_finetuned(self.model.backbone, dict.fromkeys(subset.task for subset in self.scored), run.model.labels)
        to_come = self.merge is not None and any(not Path(place).is_dir() for place in self.merge.used)
        for subset in () if elsewhere or to_come else self.scored:
            if subset.task.needs_head and subset.task.head not in held:
                place = self.scored_model
                there = ", ".join(held) or "none"
                raise UserError(f"{place}: holds no head '{subset.task.head}' (it has: {there}); train that task first")

    def _held(self, encoder: Encoder) -> Collection[str]:
        """The heads that there are to score with: those beside the backbone, and those of models that are merged."""
        places = self.merge.used if self.merge else ()
        return {*encoder.heads, *(head for place in places for head in heads_in(Path(place))), *self._brought()}

    def _brought(self) -> Collection[str]:
        """The heads that lie with the adapter that the run is given; of PEFT's, which have no names, those that are scored."""
        adapter = self.run.model.adapter
        if adapter is None or adapter.folder is None or (found := adapter_in(adapter.folder)) is None:
            return ()
        return [subset.task.head for subset in self.scored] if found.saved_modules else heads_in(found.folder)

    def check_merged(self) -> None:
        """Raises UserError for a model to merge that is not there, unless it is to come."""
        merge = self.merge
        if merge is None or self.to_come or not self.data_here:
            return
        keys: list[tuple[KeyPath, str]] = [
            (("merge", "models", number, "model"), one.model) for number, one in enumerate(merge.models) if one.model
        ]
        for key, place in [*keys, *([(("merge", "minus"), merge.minus)] if merge.minus else [])]:
            if not Path(place).is_dir() and not may_be_hub_id(place):
                raise self.run.error(key, f"{place}: no such folder")

    def _lengths(self, used: Sequence[Subset]) -> Iterator[tuple[int, str, tuple[str, str] | None]]:
        """(tokens, how the user may have said so, the key that says it)."""
        if most := self.run.data.max_length:
            yield most, f"data.max_length={most}", ("data", "max_length")
            return
        for entry in dict.fromkeys(subset.task for subset in used):
            yield entry.max_length, f"{entry.max_length}, the length of '{entry.name}',", None


def languages_of(subsets: Iterable[Subset]) -> list[str]:
    """Those of parallel text, each once."""
    return list(dict.fromkeys(subset.language for subset in subsets if subset.task.family == PARALLEL))


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
    if run.model.pretraining is not None:
        _ = resolved.pretraining
    resolved.check_sinks()
    if resolved.deepspeed_file is not None:
        ds_config.check(resolved.deepspeed_file, run.runtime.precision)
    if starts_here and work != "prepare" and (resolved.folder.begun_in or resolved.precision == "fp16"):
        resolved.folder.check_precision(resolved.deepspeed)  # also says where the hardware has no fp16
    if data_here and not run.data.root.is_dir():
        raise run.error(("data", "root"), f"{run.data.root}: no such folder")
    # Also asked for where nothing is trained: scores say what their model was trained on.
    trained = resolved.subsets.training if work == "evaluate" else resolved.subsets.trained
    used = [*(() if work == "evaluate" else trained), *resolved.scored, *(resolved.subsets.aligned if data_here else ())]
    if work == "evaluate" and run.train and starts_here and not resolved.folder.model.is_dir():
        raise UserError(f"{resolved.folder.model}: not there yet; train the run first: xdist train RUN.yaml")
    if data_here:
        resolved.check_files(used)
        if work != "evaluate":
            resolved.check_rows()
    resolved.check_merged()
    resolved.check_adapter()
    resolved.check_encoder(used)
    if work != "evaluate":
        resolved.check_teacher()
    return resolved
