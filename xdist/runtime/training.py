"""The training of a run on this rank: step by step, from wherever it stopped, to a model folder."""

import logging
import time
from collections import defaultdict

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xdist.config import Run
from xdist.data.batches import TrainingData
from xdist.data.permutation import key_of
from xdist.data.prepare import Preparation
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads, save_model
from xdist.model.language_head import load_language_heads
from xdist.model.model import Model
from xdist.robust import perturbation, shifted
from xdist.runtime import checkpoints, distributed, ds_config, zero3
from xdist.runtime.best import Best, Judge
from xdist.runtime.engine import Engine
from xdist.runtime.monitor import Monitor
from xdist.runtime.progress import Progress
from xdist.runtime.run_folder import RunFolder
from xdist.runtime.stopping import StopRequest
from xdist.tasks.batch import Batch

log = logging.getLogger(__name__)


class Training:
    """Everything a training step needs, built once."""

    def __init__(self, run: Run, tokenizer: PreTrainedTokenizerBase, preparation: Preparation) -> None:
        assert run.train is not None
        self.run, self.tokenizer = run, tokenizer
        self.rank, self.world, self.device = distributed.rank(), distributed.world(), distributed.device()
        self.data = TrainingData(run, preparation)
        dtype = torch.bfloat16 if run.runtime.precision == "bf16" else torch.float32
        config = ds_config.resolve(run)
        with zero3.partitioned_loading(config):
            encoder = load_encoder(run.model, tokenizer, dtype)
        model = Model(encoder, self.data.families, run.seed)
        carried, dropped = carry_heads(run.model.backbone, model)
        loaded = load_language_heads(run.model.backbone, model, carried)
        for names, what in ((carried + loaded, "carried over"), (dropped, "left behind")):
            if names and self.rank == 0:
                log.info("heads of %s %s: %s", run.model.backbone, what, ", ".join(names))
        self.stage = zero3.stage(config)
        self.engine = Engine(model, run.train, config, self.data.steps)
        special = torch.tensor(sorted(tokenizer.all_special_ids), device=self.device)
        self.perturbation = perturbation(run.robust, run.seed, special)

    def loss_sum(self, forward: object, batch: Batch) -> Tensor:
        """The loss of `batch` summed over its valid tokens or examples; `forward` is the engine or its bare module."""
        return self.data.families[batch.head].loss(forward(batch), batch)  # type: ignore[operator]

    def step(self, number: int, stop: bool = False) -> "StepRecord":
        """One update: every micro-batch of this rank, each as many passes as the perturbation makes.

        The loss is a sum over valid tokens or examples divided by their count over all ranks; where a step holds several
        heads, each counts by its share of the rows.
        """
        # Dropout depends on (seed, step, rank) alone, so a resumed run draws what an uninterrupted one would have drawn.
        torch.manual_seed(key_of(self.run.seed, number, self.rank) >> 1)
        batches = [batch.to(self.device) for batch in self.data.step(number, self.rank, self.world)]
        record = StepRecord(batches, self.data, self.device)
        record.reduce(stop)
        embedding, module = self.engine.module.embedding, self.engine.module
        for batch in batches:
            share = record.share(batch)

            def inner(delta: Tensor, batch: Batch = batch) -> Tensor:
                with shifted(embedding, delta, batch):
                    return self.loss_sum(module, batch)

            for training_pass in self.perturbation.passes(inner, embedding, batch, number):
                with shifted(embedding, training_pass.delta, batch):
                    loss = self.loss_sum(self.engine, batch)
                    # DeepSpeed averages gradients over ranks: times world makes it the sum that the global count divides.
                    self.engine.backward(loss * (training_pass.weight * share * self.world))
                record.add(share * training_pass.weight, loss.detach(), training_pass.loss_before, batch.head)
        self.engine.step()
        return record


class StepRecord:
    """What one step saw on this rank, and its sums over all ranks."""

    def __init__(self, batches: list[Batch], data: TrainingData, device: torch.device) -> None:
        self.heads = sorted(data.families)
        self.counts: dict[str, float] = defaultdict(float)
        self.rows: dict[str, float] = defaultdict(float)
        self.tokens = 0.0
        self.stop = False
        self.loss = torch.zeros((), device=device)
        self.gap = torch.zeros((), device=device)
        self.of_head = {head: torch.zeros((), device=device) for head in self.heads}
        for batch in batches:
            if not batch.dummy:
                self.counts[batch.head] += data.families[batch.head].count(batch)
                self.rows[batch.head] += len(batch.row_ids)
                self.tokens += len(batch.tokens)

    def reduce(self, stop: bool) -> None:
        """Sum the counts over ranks: the one collective that a step makes of its own. `stop` becomes true if any rank's is."""
        values = [self.counts[head] for head in self.heads] + [self.rows[head] for head in self.heads]
        totals = distributed.sum_over_ranks([*values, self.tokens, float(stop)])
        self.counts = dict(zip(self.heads, totals, strict=False))
        self.rows = dict(zip(self.heads, totals[len(self.heads) :], strict=False))
        self.tokens, self.stop = totals[-2], totals[-1] > 0

    def share(self, batch: Batch) -> float:
        """What one unit of this batch's summed loss weighs in the loss of the step."""
        if batch.dummy or not self.counts[batch.head]:
            return 0.0
        return self.rows[batch.head] / sum(self.rows.values()) / self.counts[batch.head]

    def add(self, share: float, loss: Tensor, before: Tensor | None, head: str) -> None:
        self.loss += share * loss
        self.of_head[head] += share * loss
        if before is not None:
            self.gap += share * (loss - before)

    def losses(self) -> dict[str, float]:
        """The loss of each head that this step trains, over all ranks. Collective."""
        sums = distributed.sum_over_ranks([float(self.of_head[head]) for head in self.heads])
        rows = sum(self.rows.values())
        return {head: loss * rows / self.rows[head] for head, loss in zip(self.heads, sums, strict=True) if self.rows[head]}

    def means(self) -> tuple[float, float]:
        """The step's loss over all ranks, and how much the perturbation raised it. Collective."""
        loss, gap = distributed.sum_over_ranks([float(self.loss), float(self.gap)])
        return loss, gap


def train(run: Run, tokenizer: PreTrainedTokenizerBase, preparation: Preparation, judge: Judge | None = None) -> bool:
    """Train `run` in its folder, from its last checkpoint if there is one. True when it is finished, False when it was
    stopped and saved. `judge` says how good a model is, where the best one is to be kept."""
    assert run.train
    folder = RunFolder(run.folder)
    training = Training(run, tokenizer, preparation)
    engine, steps = training.engine, training.data.steps
    tag = checkpoints.check(folder.checkpoints, training.world, training.stage)
    done = checkpoints.load(tag, engine)["step"] if tag else 0
    first = training.rank == 0
    monitor = Monitor(folder.metrics, folder.tensorboard, done) if first else None
    progress = Progress(f"train {run.name}", steps, done, enabled=first)
    stop = StopRequest(folder.stop, watch_file=first)
    best = Best(folder.best, judge, engine, tokenizer) if judge else None
    every = run.train.select.every if run.train.select else steps

    def save(step: int) -> None:
        state = {"step": step}
        checkpoints.save(folder.checkpoints, engine, step, training.stage, run.runtime.keep, state)

    stopped = False
    tokens, since = 0.0, time.perf_counter()
    try:
        for number in range(done, steps):
            rate = engine.rate
            record = training.step(number, bool(stop))
            done, tokens = number + 1, tokens + record.tokens
            scalars: dict[str, float] = {}
            if done % run.runtime.log_every == 0 or done == steps:
                loss, gap = record.means()
                now = time.perf_counter()
                scalars |= {
                    "train/loss": loss,
                    "train/lr": rate,
                    "train/grad_norm": engine.grad_norm,
                    "train/tokens_per_second": tokens / (now - since),
                    "train/skipped_steps": float(engine.skipped),
                }
                if len(training.data.pieces) > 1:
                    scalars |= {f"loss/{head}": value for head, value in record.losses().items()}
                    scalars |= training.data.mixture(done)
                if run.robust.method != "none":
                    scalars["robust/loss_gap"] = gap
                progress.note(f"loss {loss:.3f}")
                tokens, since = 0.0, now
            if best and (done % every == 0 or done == steps):
                paused = time.perf_counter()
                scalars |= {"dev/value": best.look(done), "dev/best": best.value}
                since += time.perf_counter() - paused  # not training time
            if monitor and scalars:
                monitor.write(done, scalars)
            progress.advance()
            if record.stop and done < steps:
                stopped = True
                break
            if done % run.runtime.save_every == 0 and done < steps:
                save(done)
                since = time.perf_counter() if tokens == 0 else since
        save(done)
    finally:
        stop.close()
        progress.close()
        if monitor:
            monitor.close()
    if stopped:
        return False
    if best:
        log.info("kept the model of step %d, dev value %.4f", best.step, best.value)
        best.become(folder.model)
    else:
        state = engine.state()
        if first:
            save_model(folder.model, engine.module, state, tokenizer)
    distributed.barrier()
    engine.close()
    return True
