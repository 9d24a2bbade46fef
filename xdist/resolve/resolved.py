"""A run with all that can be known of it before its ranks start, found once where the run enters.

Every door (commands, train.py, evaluate.py, the API) calls `resolve`; the rooms below take what they need from the result:
subsets, a folder, a batch size, neither the run nor the result itself.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from xdist.config import Run
from xdist.config.reader import KeyPath
from xdist.data.adapters import adapter_in, folders_in
from xdist.data.fetched import may_be_hub_id
from xdist.data.heads import heads_in
from xdist.data.subset import Subset
from xdist.data.syntax import syntax_in
from xdist.data.trees import Trees
from xdist.errors import UserError, unknown
from xdist.formats.pharaoh import LinkFile
from xdist.languages import LANGUAGES, code_among
from xdist.languages import find_language as known_language
from xdist.model.finetuned import read_finetuned
from xdist.model.layers import check_frozen
from xdist.resolve import trees as of_trees
from xdist.resolve.branching import check_branches, check_methods, index_of
from xdist.resolve.encoder import Encoder, check_recomputing, check_subsets
from xdist.resolve.facts import PARALLEL, Purpose, ResolvedFacts
from xdist.resolve.subsets import Subsets, absent
from xdist.resolve.teachers import check_stages, check_teachers
from xdist.robust.word_links import Linked, check_words
from xdist.run import ds_config
from xdist.run.sinks import SINKS
from xdist.tasks.families import FAMILIES


@dataclass(frozen=True)
class Resolved(ResolvedFacts):
    """A run with all that follows from it, and what is checked of it before it starts."""

    def check_adapter(self) -> None:
        """Raises UserError for an adapter that is missing, or cannot be on this encoder."""
        adapter = self.run.model.adapter
        if adapter is None:
            return
        key = ("model", "adapter")
        for code, folder in adapter.languages.items():
            if known_language(code) is None:
                raise self.run.error((*key, "languages", code), unknown("language", code, LANGUAGES))
            if folder.stage is not None:
                raise self.run.error((*key, "languages", code, "stage"), "only a study has stages; give a model")
        if adapter.fallback is not None and code_among(tuple(adapter.languages), adapter.fallback) is None:
            message = unknown("language with an adapter", adapter.fallback, adapter.languages)
            raise self.run.error((*key, "fallback"), message)
        for inner, place in folders_in(adapter) if self.data_here and not self.to_come else ():
            found = adapter_in(place)
            if found is None or (inner[0] == "languages" and found.kind != "bottleneck"):
                what = "no such folder" if not Path(place).is_dir() else "holds no such adapter"
                raise self.run.error((*key, *inner), f"{place}: {what}")

    def check_trees(self, used: Sequence[Subset]) -> None:
        """Raises UserError for an encoder that reads dependency trees, or is to, where they are not there."""
        run, model = self.run, self.model
        other_models = [*(self.merge.used if self.merge else ()), *self.teacher_places]
        places = [*other_models, *([model.backbone] if run.merge or run.align else ())]
        if place := next((place for place in places if syntax_in(place)), None):
            raise run.error(("model",), f"{place}: reads dependency trees; it is not merged, mapped or a teacher")
        of_trees.check_model(
            model, model.backbone, self.encoder.kind if self.encoder else None, run.train is not None, run.error
        )
        if (trees := Trees.of(model.syntax)) is None:
            return
        if run.merge or run.align:
            raise run.error(of_trees.KEY, "a model that reads trees is not merged or mapped: give syntax, or merge or align")
        of_trees.check_methods(run.methods, run.error)
        if self.data_here:
            of_trees.check_subsets(trees, used, run.data.root, run.error)

    def check_teacher(self) -> None:
        """Raises UserError for teachers that cannot teach this run, and for a stage, which only a study has."""
        if train := self.run.train:
            check_stages(train)
            if self.data_here:
                check_teachers(train, self.subsets.training, self.teachers, self.to_come)

    def check_branches(self) -> None:
        """Raises UserError for branches that cannot be, and for what needs some that are not there."""
        subsets, section = self.subsets.training if self.run.train else (), self.model
        if self.encoder is not None:
            check_branches(section, self.encoder, subsets)
        if not (self.to_come and not Path(section.backbone).is_dir()):
            check_methods(section, self.run.methods)
        if self.run.align and index_of(section):
            raise self.run.error(("align",), "an encoder with branches has no layer that all languages share at the top to map")

    def check_words(self) -> None:
        """Raises UserError for a method that would leave the words of all training texts as they are."""
        run, languages = self.run, list(dict.fromkeys(subset.language for subset in self.subsets.training))
        for number, method in enumerate(run.robust if isinstance(run.robust, tuple) else (run.robust,)):
            if method.rewrites and not method.idle and languages and not any(map(method.knows, languages)):
                key = ("robust", number) if isinstance(run.robust, tuple) else ("robust",)
                named = ", ".join(languages[:8]) + (", …" if len(languages) > 8 else "")
                raise run.error(
                    key, f"{method.method} has no words of what is trained on ({named}), so it would change nothing"
                )

    def check_sinks(self) -> None:
        """Raises UserError for one that neither is ours nor comes from the run's plugins, or that lacks a package."""
        for number, name in enumerate(self.run.runtime.sinks):
            try:
                SINKS.get(name, self.run.plugins).check()
            except UserError as error:
                raise self.run.error(("runtime", "sinks", number), str(error)) from None

    def check_files(self, used: Sequence[Subset]) -> None:
        """Raises UserError for one that is missing."""
        root = self.run.data.root
        for subset in [*used, *self.subsets.pools]:
            if not subset.task.is_there(root, subset.split, subset.language):
                path = absent(subset.task.paths(root, subset.split, subset.language))
                raise UserError(f"{path}: no such file ({subset})")
        align = self.run.align
        if align and align.tasks and not self.subsets.aligned:
            names = ", ".join(entry.task for entry in align.tasks)
            raise self.run.error(("align", "tasks"), f"no language that is evaluated has its files of '{names}'")
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
        linked = [subset for subset in subsets if section.links is not None and subset.task.family == PARALLEL]
        for subset in linked:
            if subset.task.fields and len(sources := subset.task.sources(root, subset.split, subset.language)) != 1:
                raise UserError(f"{files[subset.language]}: {subset} has {len(sources)} files; links are of the lines of one")
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
            rows = sum(1 for _ in islice(subset.task.examples(root, subset.split, subset.language), entry.rows))
            if rows < entry.rows:
                raise train.error((*train.key_of(number), "rows"), f"{subset} has {rows:,} examples, not {entry.rows:,}")

    @property
    def _trains_heads(self) -> bool:
        """Whether weights of a head are trained in addition to the encoder's."""
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
        heads = self.heads if run.train else self._held(encoder)
        elsewhere = None if run.makes_model or heads else read_finetuned(self.model.backbone)
        if elsewhere or (not run.makes_model and not heads and run.model.labels is not None):
            from xdist.model.folder import check_finetuned  # reads the weights of the head, with torch

            check_finetuned(self.model.backbone, dict.fromkeys(subset.task for subset in self.scored), run.model.labels)
        to_come = self.merge is not None and any(not Path(place).is_dir() for place in self.merge.used)
        for subset in () if elsewhere or to_come else self.scored:
            if subset.task.needs_head and subset.task.head not in heads:
                place = self.scored_model
                names = ", ".join(heads) or "none"
                raise UserError(f"{place}: holds no head '{subset.task.head}' (it has: {names}); train that task first")

    def _held(self, encoder: Encoder) -> Collection[str]:
        """The heads for scoring: those of the backbone, and those of models that are merged."""
        places = self.merge.used if self.merge else ()
        return {*encoder.heads, *(head for place in places for head in heads_in(Path(place))), *self._brought()}

    def _brought(self) -> Collection[str]:
        """The heads of the adapter that the run is given; of PEFT's, which have no names, those that are scored."""
        adapter = self.run.model.adapter
        if adapter is None or adapter.folder is None or (folder := adapter_in(adapter.folder)) is None:
            return ()
        return [subset.task.head for subset in self.scored] if folder.saved_modules else heads_in(folder.folder)

    def check_merged(self) -> None:
        """Raises UserError for a model to merge that is missing, unless it is to come."""
        merge = self.merge
        if merge is None or self.to_come or not self.data_here:
            return
        keys: list[tuple[KeyPath, str]] = [
            (("merge", "models", number, "model"), ingredient.model)
            for number, ingredient in enumerate(merge.models)
            if ingredient.model
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
    and of which only the evaluation is requested, has its model. Raises UserError: the line that the start would end with."""
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
    # Also needed where nothing is trained: scores say what their model was trained on.
    trained = resolved.subsets.training if work == "evaluate" else resolved.subsets.trained
    used = [*(() if work == "evaluate" else trained), *resolved.scored, *(resolved.subsets.aligned if data_here else ())]
    if work == "evaluate" and run.train and starts_here and not resolved.folder.model.is_dir():
        raise UserError(f"{resolved.folder.model}: does not exist yet; train the run first: xdist train RUN.yaml")
    if data_here:
        resolved.check_files(used)
        if work != "evaluate":
            resolved.check_rows()
    resolved.check_merged()
    resolved.check_adapter()
    resolved.check_trees(used)
    resolved.check_encoder(used)
    resolved.check_branches()
    if work != "evaluate":
        resolved.check_teacher()
        resolved.check_words()
    return resolved
