"""The training of a run on this rank: step by step, from wherever it stopped, to a model folder."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xdist.config import Run
from xdist.data.batches import TrainingData
from xdist.data.permutation import key_of
from xdist.data.prepare import Preparation
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads, save_model
from xdist.model.masks import Masks
from xdist.model.model import Model
from xdist.robust import Context, Pass, Statistics, chain
from xdist.robust.statistics import scalars as robust_scalars
from xdist.runtime import checkpoints, distributed, ds_config, stopwatch
from xdist.runtime.engine import Engine
from xdist.runtime.monitor import Monitor
from xdist.runtime.progress import Progress
from xdist.runtime.run_folder import RunFolder
from xdist.runtime.stopping import StopRequest
from xdist.tasks.batch import Batch, View

log = logging.getLogger(__name__)


class Training:
    """Everything a training step needs, built once."""

    def __init__(self, run: Run, tokenizer: PreTrainedTokenizerBase, preparation: Preparation) -> None:
        assert run.train is not None
        self.run, self.tokenizer = run, tokenizer
        self.rank, self.world, self.device = distributed.rank(), distributed.world(), distributed.device()
        self.data = TrainingData(run, preparation)
        dtype = torch.bfloat16 if run.runtime.precision == "bf16" else torch.float32
        model = Model(load_encoder(run.model, tokenizer, dtype), self.data.families, run.seed)
        carried, dropped = carry_heads(run.model.backbone, model)
        for names, what in ((carried, "carried over"), (dropped, "left behind")):
            if names and self.rank == 0:
                log.info("heads of %s %s: %s", run.model.backbone, what, ", ".join(names))
        config = ds_config.resolve(run)
        self.stage: int = config.get("zero_optimization", {}).get("stage", 0)
        self.engine = Engine(model, run.train, config, self.data.steps)
        special = torch.tensor(sorted(tokenizer.all_special_ids), device=self.device)
        self.chain = chain(run.methods, run.seed, special)

    def step(self, number: int, stop: bool = False) -> "StepRecord":
        """One update: every micro-batch of this rank, each as many passes as the methods of `robust` make.

        The loss is a sum over valid tokens or examples divided by their count over all ranks; where a step holds several
        heads, each counts by its share of the rows.
        """
        # Dropout depends on (seed, step, rank) alone, so a resumed run draws what an uninterrupted one would have drawn.
        torch.manual_seed(key_of(self.run.seed, number, self.rank) >> 1)
        batches = [batch.to(self.device) for batch in self.data.step(number, self.rank, self.world)]
        record = StepRecord(batches, self.data, self.device)
        record.reduce(stop)
        for batch in batches:
            share, family = record.share(batch), self.data.families[batch.head]
            masks = Masks() if self.chain.same_dropout else None

            def outputs(*views: View, masks: Masks | None = masks) -> tuple[Tensor, ...]:
                return self.engine.module(*views, masks=masks)

            context = Context(batch, number, family, self.engine.module.embedding, outputs, record.statistics)
            for one in record.timed(batch, self.chain.passes(context)):
                loss, parts = one.loss(self.engine(*one.views, masks=masks), family)
                # DeepSpeed averages gradients over ranks: times world makes it the sum that the global count divides.
                self.engine.backward(loss * (share * self.world))
                record.add(one, share, loss.detach(), parts)
        self.engine.step()
        record.finish()
        return record


class StepRecord:
    """What one step saw on this rank, and its sums over all ranks."""

    def __init__(self, batches: list[Batch], data: TrainingData, device: torch.device) -> None:
        self.heads = sorted(data.families)
        self.counts: dict[str, float] = defaultdict(float)
        self.rows: dict[str, float] = defaultdict(float)
        self.tokens = 0.0
        self.stop = False
        self.device = device
        self.statistics = Statistics(device)
        self.losses = {name: torch.zeros((), device=device) for name in ("loss", "clean", "perturbed")}
        self.weights = {"clean": 0.0, "perturbed": 0.0}  # of the passes that know such a loss
        self.batches = len(batches)
        self.began = stopwatch.now(device)
        self.spans: list[tuple[stopwatch.Moment, stopwatch.Moment, float]] = []  # begin, end, share that robustness has in it
        for batch in batches:
            if not batch.dummy:
                self.counts[batch.head] += data.families[batch.head].count(batch)
                self.rows[batch.head] += len(batch.row_ids)
                self.tokens += len(batch.tokens)
                words = getattr(batch, "words", None)
                if words is not None:
                    self.statistics.rewritten(words.changed, words.seen)

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

    def timed(self, batch: Batch, passes: Iterator[Pass]) -> Iterator[Pass]:
        """The passes of a micro-batch. Noted are the seconds in which they are sought, and those in which they train, of which
        plain training has the share of one view."""
        trained, views, seeking = [], 0, stopwatch.now(self.device)
        for one in passes:
            views += len(one.views)
            begin = stopwatch.now(self.device)
            self.spans.append((seeking, begin, 1.0))
            yield one
            seeking = stopwatch.now(self.device)
            trained.append((begin, seeking))
        self.spans.append((seeking, stopwatch.now(self.device), 1.0))
        self.spans.extend((begin, end, 1 - 1 / views) for begin, end in trained)

    def add(self, one: Pass, share: float, loss: Tensor, parts: Sequence[Tensor]) -> None:
        """Note a pass, what it minimised, and the summed loss of the task of each of its views."""
        weight = sum(one.weights)
        self.losses["loss"] += share * loss
        for name, perturbed in (("clean", False), ("perturbed", True)):
            found = [part for view, part in zip(one.views, parts, strict=True) if view.perturbed == perturbed]
            if name == "clean" and one.loss_before is not None:
                found = [one.loss_before]
            if found:
                self.weights[name] += weight
                self.losses[name] += share * weight * sum(found) / len(found)

    def finish(self) -> None:
        self.ended = stopwatch.now(self.device)

    def means(self) -> dict[str, float]:
        """What is logged of the step, over all ranks. Collective."""
        whole = stopwatch.seconds(self.began, self.ended)
        robust = sum(share * stopwatch.seconds(begin, end) for begin, end, share in self.spans)
        values = {**self.losses, **self.statistics.sums}
        here = [whole, robust, *torch.stack([value.double() for value in values.values()]).tolist()]
        whole, robust, *there = distributed.sum_over_ranks(here)
        sums = dict(zip(values, there, strict=True))
        found = {"train/loss": sums["loss"], **robust_scalars(sums)}
        if not self.weights["perturbed"]:
            return found
        # Every micro-batch of every rank makes the same passes, so their weights are the same too.
        mean = {name: sums[name] * self.batches / weight for name, weight in self.weights.items() if weight}
        if "clean" in mean:
            found |= {"robust/loss_clean": mean["clean"], "robust/loss_gap": mean["perturbed"] - mean["clean"]}
        return found | {"robust/loss_perturbed": mean["perturbed"], "robust/seconds_share": robust / whole}


def train(run: Run, tokenizer: PreTrainedTokenizerBase, preparation: Preparation) -> bool:
    """Train `run` in its folder, from its last checkpoint if there is one. True when it is finished, False when it was
    stopped and saved."""
    folder = RunFolder(run.folder)
    training = Training(run, tokenizer, preparation)
    engine, steps = training.engine, training.data.steps
    tag = checkpoints.check(folder.checkpoints, training.world, training.stage)
    done = checkpoints.load(tag, engine)["step"] if tag else 0
    first = training.rank == 0
    monitor = Monitor(folder.metrics, folder.tensorboard, done) if first else None
    progress = Progress(f"train {run.name}", steps, done, enabled=first)
    stop = StopRequest(folder.stop, watch_file=first)

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
            if done % run.runtime.log_every == 0 or done == steps:
                means = record.means()
                now = time.perf_counter()
                if monitor:
                    scalars = {
                        **means,
                        "train/lr": rate,
                        "train/grad_norm": engine.grad_norm,
                        "train/tokens_per_second": tokens / (now - since),
                        "train/skipped_steps": float(engine.skipped),
                    }
                    monitor.write(done, scalars)
                progress.note(f"loss {means['train/loss']:.3f}")
                tokens, since = 0.0, now
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
    state = engine.state()
    if first:
        save_model(folder.model, engine.module, state, tokenizer)
    distributed.barrier()
    engine.close()
    return True
