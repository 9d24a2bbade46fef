"""The training of a run on this rank: step by step, from where it stopped, to a model folder."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xdist.checkpoint import store
from xdist.checkpoint.best import Best, Judge
from xdist.checkpoint.saver import Saver
from xdist.config import Runtime
from xdist.data.ahead import Ahead
from xdist.data.batches import TrainingData
from xdist.data.permutation import key_of
from xdist.engine import micro_batch
from xdist.engine import out_of_memory as memory
from xdist.engine.engine import Engine
from xdist.engine.loss_scale import power_of_two
from xdist.errors import UserError, own
from xdist.model.folder import save_model
from xdist.model.masks import Masks
from xdist.model.model import Model
from xdist.model.syntax.attached import reader_of
from xdist.robust.passes import Chain, Context, Pass
from xdist.robust.rounding import Rounding, rounding_warning
from xdist.run import distributed
from xdist.run.folder import RunFolder
from xdist.run.progress import Progress
from xdist.run.sinks import JsonLines, Sinks, Start
from xdist.run.stopping import StopRequest
from xdist.tasks.batch import Batch, View
from xdist.tasks.large_vocabulary import of_states_alone
from xdist.training.bad_numbers import BadSteps
from xdist.training.logged import StepLog
from xdist.training.record import StepRecord, SubsetLosses

log = logging.getLogger(__name__)


class Training:
    """Everything a training step needs, put together by `xdist.resolve.assembly`."""

    def __init__(
        self,
        data: TrainingData,
        engine: Engine,
        chain: Chain,
        seed: int,
        special_ids: Tensor,
        device: torch.device | None = None,
        processes: int = 0,
    ) -> None:
        """`device`: of the engine's model, where that is not the rank's own; `processes`: that make batches for it."""
        self.data, self.engine, self.chain, self.seed, self.special_ids = data, engine, chain, seed, special_ids
        self.rank, self.world, self.device = distributed.rank(), distributed.world(), device or distributed.device()
        self.losses = SubsetLosses(data, self.device)
        for family in data.families.values():
            family.compared = chain.compares
        reader = reader_of(engine.module.encoder)
        self.tree_weight = reader.section.weight if reader else 0.0
        self.rounding = Rounding(engine.dtype, self.device) if engine.half else None
        self.busy: Callable[[], bool] = bool  # whether this rank writes a checkpoint meanwhile
        self.input = Ahead(data, self.rank, self.world, self.device, processes)

    def step(self, number: int, stop: bool = False) -> StepRecord:
        """One update: every micro-batch of this rank, each as many passes as the methods of `robust` make.

        The loss is a sum over valid tokens or examples divided by their count over all ranks; where a step holds several
        heads, each counts by its share of the rows.
        """
        # Dropout depends on (seed, step, rank) alone, so a resumed run draws what an uninterrupted one would have drawn.
        # 63 of the key's bits: generators of every device take them as a seed, with no sign.
        torch.manual_seed(key_of(self.seed, number, self.rank) >> 1)
        batches = [batch.to(self.device) for batch in self.input.step(number)]
        record = StepRecord(batches, self.data, self.device)
        record.reduce(stop, self.busy())
        for batch in batches:
            share, family = record.share(batch), self.data.families[batch.head]
            masks = Masks() if self.chain.one_dropout else None
            # As the backward that trains scales it, to a power of two, by which dividing loses nothing.
            scale = power_of_two(self.engine.scale * self.world * share) if self.engine.loss_scale else 1.0
            context = self._context(batch, number, record, masks, scale)
            for one in record.time_passes(batch, self.chain.passes(context)):
                views = (self.rounding.watch_pass(one) if self.rounding else one).views
                loss, parts = one.loss(self.engine(*views, masks=masks), family)
                record.add(one, share, loss.detach(), parts)
                # DeepSpeed averages gradients over ranks: times world makes it the sum that the global count divides.
                loss = loss * (share * self.world)
                if trees := losses_of_trees(one, self.engine.module, record.share_of_row(batch)):
                    loss = loss + self.world * self.tree_weight * sum(trees)
                    record.add_trees(trees[0].detach(), trees[1].detach(), self.tree_weight)
                self.engine.backward(loss)
                self.losses.add(one.views[0].batch, parts[0])
        self.engine.step()
        self._report_rounding()
        record.finish()
        return record

    def fit(self, number: int) -> None:
        """Halve the budget of micro-batches until the largest of step `number` fits on every rank. Collective. At ZeRO 3 ranks
        that lack memory look like ranks that wait, so nothing is tried there."""
        trained = [parameter for parameter in self.engine.module.parameters() if parameter.requires_grad]
        while self.engine.stage < 3 and self.data.budget > micro_batch.FEWEST:
            torch.manual_seed(0)
            largest = max(self.input.step(number), key=lambda batch: len(batch.tokens)).to(self.device)
            if not micro_batch.exceeds_memory(lambda: self._losses(largest, number), trained):  # noqa: B023
                return
            self.data.budget = max(micro_batch.FEWEST, self.data.budget // 2)
            self.input.forget()
            if self.rank == 0:
                log.info("out of memory: from now on %d tokens in a micro-batch", self.data.budget)

    def _losses(self, batch: Batch, number: int) -> Iterator[Tensor]:
        """Of the passes of a micro-batch, by the bare module: nothing is trained."""
        record, family = StepRecord([batch], self.data, self.device), self.data.families[batch.head]
        masks = Masks() if self.chain.one_dropout else None
        for one in self.chain.passes(self._context(batch, number, record, masks, 1.0)):
            loss, _ = one.loss(self.engine.module(*one.views, masks=masks), family)
            yield loss + sum(losses_of_trees(one, self.engine.module, 1.0))

    def _context(self, batch: Batch, number: int, record: StepRecord, masks: Masks | None, scale: float) -> Context:
        def outputs(*views: View) -> tuple[Tensor, ...]:
            with of_states_alone():
                found: tuple[Tensor, ...] = self.engine.module(*views, masks=masks)
                return found

        return Context(
            batch,
            number,
            self.data.steps,
            self.seed,
            self.special_ids,
            self.data.families[batch.head],
            self.engine.module.embedding,
            outputs,
            record.statistics,
            scale=scale,
        )

    def _report_rounding(self) -> None:
        """Once, after the first step that perturbs. Collective there."""
        if self.rounding and self.rounding.seen:
            said = rounding_warning(distributed.sum_over_ranks(self.rounding.sums.tolist()), self.engine.precision)
            if said and self.rank == 0:
                log.warning(said)
            self.rounding = None

    def close(self) -> None:
        self.input.close()
        self.engine.close()


def losses_of_trees(one: Pass, model: Model, share: float) -> list[Tensor]:
    """Of a pass whose forward `model` has just made the losses of distances and of depths, a row counting `share`, a view its
    weight; none of a model that reads no trees."""
    views = [(weight, losses) for weight, losses in zip(one.weights, model.tree_losses, strict=False) if weight]
    return (
        [sum((share * weight * losses[part].sum() for weight, losses in views), torch.zeros(())) for part in (0, 1)]
        if views
        else []
    )


def train(
    training: Training,
    start: Start,
    runtime: Runtime,
    tokenizer: PreTrainedTokenizerBase,
    *,
    advice: memory.Advice,
    facts: Mapping[str, object],
    judge: Judge | None = None,
    every: int | None = None,
    fit: bool = False,
) -> bool:
    """Train in the run folder that `start` names, from its last checkpoint if there is one. True when it is finished, False
    when it was stopped and saved. `judge` says how good a model is, where the best one is to be kept, and is asked once in
    `every` steps; `advice` is given where memory does not suffice; `facts` are written next to the model as JSON files, by
    name;
    `fit`: try whether micro-batches fit, and write down how many tokens they have."""
    folder = RunFolder(start.folder)
    engine, steps = training.engine, training.data.steps
    every = every or steps
    if fit:
        training.fit(0)
        if training.rank == 0:
            folder.chose(micro_batch_tokens=training.data.budget)
    tag = store.find_checkpoint(folder.checkpoints)
    saved: dict[str, Any] = store.load_checkpoint(tag, engine, engine.stage) if tag else {"step": 0}
    done = saved["step"]
    _check_model_below(saved, engine.module.stands_on)
    if "piece_losses" in saved:
        training.losses.restore(saved["piece_losses"])
    engine.restore_scaling(saved)
    first = training.rank == 0
    if first and tag:
        log.info("resuming after step %d, from %s", done, tag.path)
    sinks = Sinks((JsonLines.name, *runtime.sinks) if first else (), replace(start, step=done))
    progress = Progress(f"train {start.name}", steps, done, enabled=first)
    stop = StopRequest(folder.stop, first, runtime.max_minutes)
    # A checkpoint holds what is trained; of the model below an adapter it holds the digest.
    below = {"stands_on": engine.module.stands_on[1]} if engine.module.stands_on else {}
    best = Best(folder.best, judge, engine, tokenizer, facts) if judge else None
    saver = Saver(
        folder.checkpoints,
        engine,
        engine.stage,
        runtime,
        lambda: {"piece_losses": training.losses.state(), **engine.scaling(), **below},
    )
    training.busy = lambda: saver.busy
    bad = BadSteps(training.data, runtime.bad_steps, engine, saver.resume_point)
    logged = StepLog(training, sinks, progress, saver)
    stopped = False
    try:
        for number in range(done, steps):
            with memory.explain_errors(advice, training.rank, number, training.data.step), own():
                record = training.step(number, bool(stop))
            logged.write_line()  # of the step before, now that the device is at this one
            bad.note(number if engine.settled else number - 1)
            done = number + 1
            logged.count(record)
            stopped = record.stop and done < steps
            if done % runtime.log_every == 0 or done == steps:
                logged.hold_line(record, done)
            logged.add_pause(saver.advance(record.busy))
            looks = best is not None and (done % every == 0 or done == steps)
            saves = done < steps and not stopped and saver.due(done)
            if looks or saves or stopped or done == steps:
                engine.settle()
                bad.note(number)
                scalars: dict[str, float] = {}
                if best and looks:
                    paused = time.perf_counter()
                    scalars = {"dev/value": best.judge_step(done), "dev/best": best.value}
                    logged.add_pause(time.perf_counter() - paused)
                logged.write_line(scalars, done)
            progress.advance()
            if stopped:
                break
            if saves:
                sinks.flush()
                logged.add_pause(saver.save(done))
        if logged.loss is not None and not stopped and not start.config.get("evaluate"):  # an evaluation has more to tell
            sinks.outcome({"last/loss": logged.loss})
        sinks.flush()
        saver.finish(done, stopped)
    finally:
        saver.close()
        training.input.close()
        stop.close()
        progress.close()
        sinks.close()
    if not stopped and best:
        log.info("kept the model of step %d, dev value %.4f", best.step, best.value)
        best.copy_to(folder.model)
    elif not stopped:
        state = engine.state()
        if first:
            save_model(folder.model, engine.module, state, tokenizer, facts)
        distributed.barrier()
    training.close()
    return not stopped


def _check_model_below(saved: Mapping[str, Any], below: tuple[str, str] | None) -> None:
    """Raises UserError where a checkpoint was saved of an adapter on another model than that at `below`."""
    if below and saved.get("stands_on", below[1]) != below[1]:
        raise UserError(
            f"{below[0]}: changed since the checkpoint was saved, which the adapter was trained on; restore it, or "
            "remove the checkpoints to start at step 0"
        )
