"""From a resolved run to what trains: its prepared rows, its model with the heads that are there, its engine."""

import logging
from contextlib import suppress

import torch

from xdist.data.batches import TrainingData
from xdist.data.leaks import check_leaks
from xdist.data.prepare import Preparation
from xdist.data.vocabulary import used_rows
from xdist.engine import arithmetic, zero3
from xdist.engine import out_of_memory as memory
from xdist.engine import recompute as checkpointing
from xdist.engine.engine import Engine
from xdist.errors import UserError
from xdist.estimate.shapes import shape_of
from xdist.estimate.usual import unusual
from xdist.evaluation import evaluator
from xdist.evaluation.aligning import Aligner
from xdist.evaluation.queue import budget_of
from xdist.evaluation.selection import DevJudge
from xdist.evaluation.teaching import taught
from xdist.export.merging import merge
from xdist.files import file_digest
from xdist.model import remarks
from xdist.model.backbone import check_layer
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads
from xdist.model.kinds import kind_of
from xdist.model.language_head import load_language_heads
from xdist.model.lineage import FILE as LINEAGE
from xdist.model.lineage import dumped
from xdist.model.model import Model
from xdist.model.vocabulary import activate
from xdist.resolve.encoder import check_recomputing
from xdist.resolve.preparing import preparation_of
from xdist.resolve.resolved import Purpose, Resolved
from xdist.robust.passes import Chain
from xdist.robust.rewriting import rewriters
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
        """The prepared sets of what `work` reads, which the ranks share the making of. Raises UserError on every rank alike,
        but for a row that only one of them reads."""
        preparation = on_each(lambda: preparation_of(self.resolved, work))
        preparation.make_share(distributed.rank(), distributed.world())
        return preparation

    def open_folder(self, preparation: Preparation | None = None) -> None:
        """Write into the run folder what was asked for and what is trained on; called by one process. Raises UserError as
        `RunFolder.open` does. Without `preparation` nothing is trained."""
        resolved = self.resolved
        if preparation is None:
            resolved.folder.open(self.run, None, {}, resolved.fetched)
            return
        read = {str(path): file_digest(path) for path in self.run.method_files if path.is_file()}
        fingerprints = {**preparation.fingerprints(resolved.subsets.training), **read}
        resolved.folder.open(self.run, resolved.deepspeed, fingerprints, resolved.fetched)

    def train(self, preparation: Preparation) -> bool:
        """Train to the end, or until it is stopped and saved (False)."""
        assert self.run.train
        select, runtime = self.run.train.select, self.run.runtime
        return loop.train(
            self.training(preparation),
            self.resolved.start,
            runtime,
            preparation.tokenizer,
            advice=memory.advice(self.run.model, runtime, self.resolved.deepspeed.half),
            facts={LINEAGE: dumped(self.resolved.lineage)},
            judge=self.judge(preparation),
            every=select.every if select else None,
        )

    def judge(self, preparation: Preparation) -> DevJudge | None:
        """Where the best model on dev is kept, what says how good one is."""
        train = self.run.train
        if train is None or train.select is None:
            return None
        budget, subsets = budget_of(self.run.runtime, distributed.device().type), self.resolved.subsets.selection
        return DevJudge(train.select, subsets, preparation, budget=budget, negatives=train.negatives)

    def merge(self) -> None:
        """Make the model of a run that merges, where it is not there yet. Raises UserError on every rank alike."""
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
        what = (resolved.request, resolved.model, run.runtime, resolved.deepspeed, preparation, resolved.start, run.seed)
        align = Aligner(run.align, resolved.subsets.aligned, resolved.request, preparation) if run.align else None
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
            micro_batch_tokens=run.runtime.micro_batch_tokens,
            packed=run.runtime.attention == "packed",
            rewriters=texts,
            keep_plain=bool(texts) and compared,
        )

    def training(self, preparation: Preparation) -> Training:
        """What the training loop goes through: rows, the model with the heads that are there, its engine. Raises UserError for
        what data or weights cannot give."""
        run, config, rows, tokenizer = self.run, self.resolved.deepspeed, None, preparation.tokenizer
        assert run.train
        self._choose_arithmetic()
        subsets = self.resolved.subsets
        parallel = [subset for subset in subsets.training if subset.task.family == "parallel"]
        on_first(lambda: check_leaks(parallel, subsets.evaluation if parallel else (), run.data.root))
        data = self.data(preparation)
        if self.resolved.teacher is not None and run.train.distil is not None:
            budget = budget_of(run.runtime, distributed.device().type)
            data.learn_from(taught(self.resolved.teacher, data.subsets, data.shards, preparation, budget), run.train.distil)
        backbone = self.resolved.model.backbone
        with zero3.partitioned_loading(config):
            encoder = load_encoder(self.resolved.model, tokenizer, config.dtype)
        if run.evaluate:  # training keeps the number of layers
            check_layer(run.evaluate.layer, backbone, encoder.config)
        if (ids := used_rows(run.model, data, tokenizer)) is not None:
            with zero3.gathered(encoder.get_input_embeddings()):
                if activate(encoder, torch.from_numpy(ids)):
                    rows = len(ids)
                    log.info("training %d of %d rows of the input embedding", len(ids), encoder.config.vocab_size)
        check_recomputing(run.model, encoder.config.model_type)
        if kind_of(encoder.config).checkpointing and self._recomputes(data, rows):
            encoder.gradient_checkpointing_enable({"use_reentrant": False})
        model = Model(encoder, data.families, run.seed, run.runtime.attention == "packed")
        data.packed = model.packed  # not for an encoder that cannot
        if any(isinstance(family, ParallelText) and family.anchored for family in data.families.values()):
            with zero3.partitioned_loading(config):
                model.anchored(load_encoder(self.resolved.model, tokenizer, config.dtype))
        carried, dropped = carry_heads(backbone, model, run.model.labels)
        loaded = load_language_heads(backbone, model, carried)
        for names, what in ((carried + loaded, "carried over"), (dropped, "left behind")):
            if names and distributed.rank() == 0:
                log.info("heads of %s %s: %s", run.model.backbone, what, ", ".join(names))
        if distributed.rank() == 0:
            self._remark(model, {*carried, *loaded})
            for line in data.chosen():
                log.info(line)
            for line in self._unusual(data):
                log.warning("far from usual: %s", line)
        engine = Engine(model, run.train, config, data.steps)
        special = torch.tensor(sorted(tokenizer.all_special_ids), device=distributed.device())
        return Training(data, engine, Chain(run.methods), run.seed, special)

    def _remark(self, model: Model, begun: set[str]) -> None:
        """Say what is worth knowing of a model that is to be trained; `begun`: its heads that were there before."""
        log.info(remarks.attention(model.train(), distributed.device().type))
        for line in said_labels(subset.task for subset in self.resolved.subsets.training):
            log.info(line)
        for name, head in model.heads.items():
            if isinstance(head, LanguageHead) and name not in begun:
                log.info("head '%s' begins anew: %s holds no language-model head of its own", name, self.run.model.backbone)
        if remarks.compares_equals(model, self.run.methods):
            log.warning(
                "%s compares two equal passes: no noise and no dropout; set its scale, or model.dropout",
                self.run.methods[0].name,
            )

    def _unusual(self, data: TrainingData) -> list[str]:
        assert self.run.train
        matrices = None
        with suppress(UserError):  # of a kind whose sizes are not known
            matrices = shape_of(self.resolved.model.backbone).matrices
        frozen = self.run.model.freeze_embeddings
        return unusual(self.run.train, data.steps, matrices, frozen, data.masking is not None)

    def _choose_arithmetic(self) -> None:
        runtime = self.run.runtime
        arithmetic.choose(runtime.precision, self.resolved.deepspeed.precision, runtime.deterministic)

    def _recomputes(self, data: TrainingData, rows: int | None) -> bool:
        """Whether layers are computed again in the backward pass: as the run says it, or where the GPUs' memory asks for it.
        `rows`: of the embedding that are trained, None: all."""
        run, wanted = self.run, self.run.model.gradient_checkpointing
        if wanted != "auto" or distributed.device().type != "cuda":
            return wanted is True
        shape = shape_of(self.resolved.model.backbone)
        without = checkpointing.setting(
            shape,
            run.model,
            run.methods,
            self.resolved.deepspeed,
            micro_batch_tokens=run.runtime.micro_batch_tokens,
            masked=data.masking is not None,
            rows=rows,
            ranks=distributed.world(),
        )
        return checkpointing.asked_for(shape, without)
