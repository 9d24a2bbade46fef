"""From a resolved run to what trains: its prepared rows, its model with its heads, its engine."""

import logging
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from xdist.data.adapters import root_of
from xdist.data.batches import TrainingData
from xdist.data.fetched import model_digest
from xdist.data.leaks import check_leaks
from xdist.data.prepare import Preparation
from xdist.data.vocabulary import used_rows
from xdist.engine import arithmetic, micro_batch, zero3
from xdist.engine import out_of_memory as memory
from xdist.engine import recompute as checkpointing
from xdist.engine.engine import Engine
from xdist.errors import UserError
from xdist.estimate.memory import Setting
from xdist.estimate.shapes import Shape, branched, shape_of
from xdist.estimate.usual import unusual_lines
from xdist.evaluation import evaluator
from xdist.evaluation.aligning import Aligner
from xdist.evaluation.queue import budget_of
from xdist.evaluation.selection import DevJudge
from xdist.evaluation.teaching import teacher_logits
from xdist.export.merging import merge
from xdist.files import Digests, file_digest
from xdist.model import remarks
from xdist.model.adapters import held
from xdist.model.adapters.heads import carry_from_adapter
from xdist.model.backbone import check_layer
from xdist.model.branches import branches_of
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads
from xdist.model.kinds import kind_of
from xdist.model.language_head import load_language_heads
from xdist.model.lineage import FILE as LINEAGE
from xdist.model.lineage import dump_lineage
from xdist.model.model import Model
from xdist.model.syntax import attached as syntax
from xdist.model.vocabulary import ActiveEmbedding, activate_rows
from xdist.resolve.encoder import check_recomputing
from xdist.resolve.facts import Purpose, languages_of
from xdist.resolve.preparing import preparation_of
from xdist.resolve.resolved import Resolved
from xdist.robust.passes import Chain
from xdist.robust.rewriting import rewriters
from xdist.robust.word_links import make_linker
from xdist.run import distributed
from xdist.run.together import on_each, on_first
from xdist.tasks.catalog import said_labels
from xdist.tasks.mlm import LanguageHead
from xdist.tasks.parallel import ParallelText
from xdist.training import loop
from xdist.training.loop import Training

log = logging.getLogger(__name__)


class Assembly:
    """The parts of a resolved run on this rank. Every method but `open_folder` is collective."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved, self.run = resolved, resolved.run

    def prepare(self, work: Purpose) -> Preparation:
        """The prepared sets of what `work` reads, which the ranks make together. Raises UserError on every rank,
        except for a row that only one of them reads."""
        preparation = on_each(lambda: preparation_of(self.resolved, work))
        preparation.make_share(distributed.rank(), distributed.world())
        return preparation

    def open_folder(self, preparation: Preparation | None = None) -> None:
        """Write into the run folder what was requested and what is trained on; called by one process. Raises UserError as
        `RunFolder.open` does. Without `preparation` nothing is trained."""
        resolved = self.resolved
        if preparation is None:
            resolved.folder.open(self.run, None, {}, resolved.fetched)
            return
        others = (*self.run.method_files, *resolved.word_files.values())
        read = {str(path): file_digest(path) for path in others if path.is_file()}
        fingerprints = {**preparation.fingerprints(resolved.subsets.training), **read}
        resolved.folder.open(self.run, resolved.deepspeed, fingerprints, resolved.fetched)

    def train(self, preparation: Preparation) -> bool:
        """Train to the end, or until it is stopped and saved (False)."""
        assert self.run.train
        select, runtime = self.run.train.select, self.run.runtime
        training = self.training(preparation)
        return loop.train(
            training,
            self.resolved.start,
            runtime,
            preparation.tokenizer,
            advice=memory.memory_advice(self.run.model, runtime, self.resolved.deepspeed, training.data.budget),
            facts={LINEAGE: dump_lineage(self.resolved.lineage)},
            judge=self.judge(preparation),
            every=select.every if select else None,
            fit=self._begun_with is None,
        )

    def judge(self, preparation: Preparation) -> DevJudge | None:
        """Where the best model on dev is kept, what says how good one is."""
        train = self.run.train
        if train is None or train.select is None:
            return None
        budget, subsets = budget_of(self.run.runtime, distributed.device().type), self.resolved.subsets.selection
        return DevJudge(train.select, subsets, preparation, budget=budget, negatives=train.negatives)

    def merge(self) -> None:
        """Make the model of a run that merges, where it is missing yet. Raises UserError on every rank."""
        resolved = self.resolved

        def made() -> None:
            if resolved.merge and not resolved.folder.model.is_dir():
                log.info("merging %d models into %s", len(resolved.merge.models) + 1, resolved.folder.model)
                merge(resolved.model.backbone, resolved.merge, resolved.folder.model)

        on_first(made)

    def evaluate(self, preparation: Preparation) -> bool:
        """Predict and score what is not yet; False where it was stopped half-way, with what is predicted kept."""
        resolved, run = self.resolved, self.run
        self._choose_arithmetic()
        on_first(lambda: check_leaks(resolved.parallel_before, resolved.subsets.evaluation, run.data.root))
        # A model that was trained here has its adapter, or its branches, in its folder.
        section = resolved.model.model_copy(update={"adapter": None, "branches": None}) if run.train else resolved.model
        what = (resolved.request, section, run.runtime, resolved.deepspeed, preparation, resolved.start, run.seed)
        aligned, words = resolved.subsets.aligned, resolved.aligned_word_files
        align = Aligner(run.align, aligned, resolved.request, preparation, words) if run.align else None
        return evaluator.evaluate(*what, align)

    def data(self, preparation: Preparation) -> TrainingData:
        run = self.run
        assert run.train
        texts = rewriters(run.methods, preparation.tokenizer, run.seed, run.data.max_length)
        compared = any(method.compares_rows for method in run.methods)
        return TrainingData(
            run.train,
            self.resolved.subsets.training,
            preparation,
            run.seed,
            micro_batch_tokens=self._begun_with or micro_batch.ON_CPU,
            packed=run.runtime.attention == "packed",
            rewriters=texts,
            keep_plain=bool(texts) and compared,
            linker=make_linker(run.train.parallel, preparation.tokenizer, languages_of(self.resolved.subsets.training)),
            block=run.data.block,
        )

    def training(self, preparation: Preparation) -> Training:
        """What the training loop goes through: rows, the model with its heads, its engine. Raises UserError for
        what data or weights cannot give."""
        run, config, rows, tokenizer = self.run, self.resolved.deepspeed, None, preparation.tokenizer
        assert run.train
        self._choose_arithmetic()
        subsets = self.resolved.subsets
        parallel = [subset for subset in subsets.training if subset.task.translates]
        on_first(lambda: check_leaks([*parallel, *self.resolved.parallel_before], subsets.evaluation, run.data.root))
        data = self.data(preparation)
        if (teachers := self.resolved.teachers) and run.train.distil is not None:
            budget = budget_of(run.runtime, distributed.device().type)
            logits = teacher_logits(teachers, data.subsets, data.shards, preparation, budget)
            data.learn_from(logits, run.train.distil)
        backbone = self.resolved.model.backbone
        with zero3.partitioned_loading(config):
            encoder = load_encoder(self.resolved.model, tokenizer, config.dtype, run.seed)
        if run.evaluate:  # training keeps the number of layers
            check_layer(run.evaluate.layer, backbone, encoder.config)
        if (ids := used_rows(run.model, data, tokenizer)) is not None:
            with zero3.gather_module(encoder.get_input_embeddings()):
                if activate_rows(encoder, torch.from_numpy(ids)):
                    rows = len(ids)
                    log.info("training %d of %d rows of the input embedding", len(ids), encoder.config.vocab_size)
        check_recomputing(run.model, encoder.config.model_type)
        if self._begun_with is None and distributed.device().type == "cuda":
            data.budget = self._fitting(data, rows)
        if kind_of(encoder.config).checkpointing and self._recomputes(data, rows):
            encoder.gradient_checkpointing_enable({"use_reentrant": False, **syntax.recompute_arguments(encoder)})
        model = Model(encoder, data.families, run.seed, run.runtime.attention == "packed")
        if run.model.adapter:
            model.stands_on = self._below()
        data.packed = model.packed  # not for an encoder that cannot
        if data.masking and data.masking.among is not None:
            self._tell_apart(model, data.masking.among)
        if _anchored(data):
            with zero3.partitioned_loading(config):
                model.keep_anchor(load_encoder(self.resolved.model, tokenizer, config.dtype))
        brought = carry_from_adapter(self.resolved.model, model)
        carried, dropped = carry_heads(backbone, model, None if brought else run.model.labels)
        carried += brought
        loaded = load_language_heads(root_of(backbone)[0], model, carried)
        for names, what in ((carried + loaded, "carried over"), (dropped, "left behind")):
            if names and distributed.rank() == 0:
                log.info("heads of %s %s: %s", run.model.backbone, what, ", ".join(names))
        if distributed.rank() == 0:
            self._remark(model, {*carried, *loaded})
            for line in data.describe_chosen():
                log.info(line)
            for line in self._unusual(data):
                log.warning("unusual setting: %s", line)
        engine = Engine(model, run.train, config, data.steps)
        special = torch.tensor(sorted(tokenizer.all_special_ids), device=distributed.device())
        # Batches of other methods take no time worth a process.
        processes = run.runtime.rewriters if data.rewriters else 0
        return Training(data, engine, Chain(run.methods), run.seed, special, processes=processes)

    def _tell_apart(self, model: Model, pieces: np.ndarray) -> None:
        """Take the loss of language models over these ids alone."""
        place = model.embedding.place if isinstance(model.embedding, ActiveEmbedding) else None
        for name, head in model.heads.items():
            if isinstance(head, LanguageHead):
                head.restrict(torch.from_numpy(pieces), place)
                every = model.encoder.config.vocab_size
                log.info("head '%s': softmax over the %d of %d pieces that occur in the texts", name, len(pieces), every)

    def _below(self) -> tuple[str, str]:
        """The place and the digest of the model that an adapter is trained on, looked at on rank 0. Collective."""
        backbone = self.resolved.model.backbone
        place = str(Path(backbone).resolve()) if Path(backbone).is_dir() else backbone
        digests = Digests(self.resolved.folder.digests)
        return place, on_first(lambda: model_digest(backbone, digests))

    def _remark(self, model: Model, begun: set[str]) -> None:
        """Say what is worth knowing of a model that is to be trained; `begun`: its heads that existed before."""
        log.info(remarks.attention_remark(model.train(), distributed.device().type))
        for line in held.describe_languages(model.encoder, (one.read_as for one in self.resolved.subsets.training)):
            log.info(line)
        if having := branches_of(model.encoder):
            log.info("the top %d layers exist once for each of %s", having.index.layers, ", ".join(having.index.languages))
        for line in said_labels(subset.task for subset in self.resolved.subsets.training):
            log.info(line)
        for name, head in model.heads.items():
            if isinstance(head, LanguageHead) and name not in begun:
                log.info("head '%s' begins from scratch: %s has no language-model head", name, self.run.model.backbone)
        if remarks.compares_equals(model, self.run.methods):
            log.warning(
                "%s compares two equal passes: no noise and no dropout; set its scale, or model.dropout",
                self.run.methods[0].name,
            )

    def _unusual(self, data: TrainingData) -> list[str]:
        assert self.run.train
        matrices = None
        with suppress(UserError):  # of a kind whose sizes are not known
            matrices = None if self.run.model.adapter else shape_of(self.resolved.model.backbone).matrices
        frozen = self.run.model.embeddings_frozen
        head = any(subset.task.needs_head for subset in data.subsets)
        return unusual_lines(self.run.train, data.steps, matrices, frozen, data.masking is not None, head)

    def _choose_arithmetic(self) -> None:
        runtime = self.run.runtime
        arithmetic.choose_arithmetic(runtime.precision, self.resolved.deepspeed.precision, runtime.deterministic)

    def _recomputes(self, data: TrainingData, rows: int | None) -> bool:
        """Whether layers are computed again in the backward pass: as the run says it, or where the GPUs' memory requires it.
        `rows`: of the embedding that are trained, None: all."""
        wanted = self.run.model.gradient_checkpointing
        if wanted != "auto" or distributed.device().type != "cuda":
            return wanted is True
        return checkpointing.recomputing_needed(self._shape, self._setting(data, rows, data.budget))

    @property
    def _shape(self) -> Shape:
        """Of the encoder that is trained."""
        return branched(shape_of(self.resolved.model.backbone), self.resolved.model.branches)

    @property
    def _begun_with(self) -> int | None:
        """Tokens of a micro-batch, as the run says it or as it was started; None where they are yet to be chosen."""
        asked = self.run.runtime.micro_batch_tokens
        return asked if isinstance(asked, int) else self.resolved.micro_batch_tokens

    def _fitting(self, data: TrainingData, rows: int | None) -> int:
        """As many tokens of a micro-batch as every rank's GPU holds. Collective."""
        capacity = torch.cuda.get_device_properties(distributed.device()).total_memory
        shape = self._shape
        return micro_batch.fewest_of_ranks(
            micro_batch.largest_fitting(shape, lambda tokens: self._setting(data, rows, tokens), capacity)
        )

    def _setting(self, data: TrainingData, rows: int | None, tokens: int) -> Setting:
        """How it is trained with this many tokens in a micro-batch, nothing computed twice."""
        return checkpointing.memory_setting(
            self._shape,
            self.run.model,
            self.run.methods,
            self.resolved.deepspeed,
            micro_batch_tokens=tokens,
            masked=data.masking is not None,
            rows=rows,
            ranks=distributed.world(),
            anchor=_anchored(data),
        )


def _anchored(data: TrainingData) -> bool:
    """Whether training needs the English side of parallel text as the encoder began with it."""
    return any(isinstance(family, ParallelText) and family.anchored for family in data.families.values())
