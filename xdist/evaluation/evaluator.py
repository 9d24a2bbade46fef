"""Evaluate a model on many tasks and languages, on all ranks: encode once, predict, gather once per task, score, write."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from xdist.config import Model as ModelSection
from xdist.config import Runtime
from xdist.data.prepare import Preparation, parts
from xdist.data.shards import Rows
from xdist.data.subset import Subset, pool_subsets
from xdist.engine import zero3
from xdist.evaluation import kept
from xdist.evaluation.aligning import Aligner
from xdist.evaluation.loading import load_for_evaluation
from xdist.evaluation.measuring import Measuring
from xdist.evaluation.overlap import overlaps
from xdist.evaluation.predicting import Stopped, forward_once, is_known, predict_rows, predictions_by_row
from xdist.evaluation.queue import ForwardRows, batch_queue, budget_of, rank_share
from xdist.evaluation.request import Request
from xdist.evaluation.scores import collapse_lines, subsets_without_gold, without_gold_line
from xdist.evaluation.scoring import Scoring
from xdist.evaluation.smoothing import Smoothing
from xdist.evaluation.to_do import earlier_notes, group_by_task, plan_work
from xdist.files import digest
from xdist.languages import EVERY_GROUP, Pretraining
from xdist.languages.pretraining import recorded_list
from xdist.metrics import metric
from xdist.model import remarks
from xdist.model.adapters import held
from xdist.model.branches import branches_of
from xdist.model.model import Model
from xdist.run import distributed
from xdist.run.ds_config import DeepSpeed
from xdist.run.progress import Progress, say
from xdist.run.sinks import Sinks, Start
from xdist.run.sinks.json_lines import last_step
from xdist.run.stopping import StopRequest
from xdist.run.together import on_each, on_first
from xdist.tasks.catalog import Task
from xdist.tasks.collapse import describe_collapse
from xdist.tasks.family import family_of

log = logging.getLogger(__name__)


class Evaluator:
    """Predicts what is not predicted yet. One instance per rank; `run_all` is collective; rank 0 does the `scoring`."""

    def __init__(
        self,
        model: Model,
        preparation: Preparation,
        scoring: Scoring,
        sinks: Sinks,
        *,
        budget: int,
        lockstep: bool,
        smoothing: Smoothing | None = None,
        stop: Callable[[], bool] = bool,
    ) -> None:
        """`budget`: tokens of a forward pass; in `lockstep` all ranks make equally many. `stop`: whether this rank is asked to
        stop, the same answer on all in lockstep."""
        self.model, self.preparation, self.scoring, self.sinks = model, preparation, scoring, sinks
        self.budget, self.lockstep, self.smoothing, self.stop = budget, lockstep, smoothing, stop

    def run_all(self, todo: dict[str, list[Subset]]) -> bool:
        """Predict, gather, write and score `todo` (subsets by task), one task after another. False where it was stopped: what
        is predicted of that task is kept in the run folder, where the next start takes it up."""
        folder = self.scoring.folder.kept
        rank = distributed.rank()
        read = {name: [*subsets, *pool_subsets(subsets[0].task)] for name, subsets in todo.items()}
        sets = {name: list(self.preparation.shards(subsets)) for name, subsets in read.items()}
        digests = {name: on_first(partial(self._work_digest, parts)) for name, parts in read.items()}
        known = {name: kept.read_kept(folder, name, digests[name]) for name in todo}
        work = {name: self._work(parts, known[name][0]) for name, parts in sets.items()}
        rows = sum(len(item.rows) for items in work.values() for item in items if not item.dummy)
        progress = Progress(f"evaluate {self.scoring.request.name}", rows, enabled=rank == 0)
        try:
            for name, subsets in todo.items():
                progress.note(name)
                # The task's own family, not the head's: tasks that share a head may have their own metrics.
                family = family_of(subsets[0].task)
                forward = self.smoothing.outputs if self.smoothing else forward_once
                what = (family, read[name], sets[name], len(subsets), work[name])
                try:
                    self._add_cost(known[name][1])
                    predicted = predict_rows(self.model, *what, forward, progress.advance, known[name][0], self.stop)
                except Stopped as stopped:
                    on_each(partial(kept.write_kept, folder, name, rank, digests[name], stopped.found, self._own_cost))
                    on_first(partial(kept.drop_other_ranks, folder, name, distributed.world()))
                    return False
                cost = self._total_cost()
                gathered = distributed.gather_on_first(predicted)
                if gathered is not None:
                    results = predictions_by_row(gathered, len(subsets))
                    values = self.scoring.score_predictions(subsets, sets[name], results, cost, self.preparation.tokenizer)
                    step, entry = last_step(self.scoring.folder.metrics), self.scoring.scores.tasks[name]
                    known_by = recorded_list(self.scoring.scores.values.get("pretraining"))
                    show_scores(self.sinks, step, subsets[0].task, values, entry, known_by)
                    kept.remove_kept(folder, name)
        finally:
            progress.close()
        return True

    def _work(self, sets: Sequence[Rows], known: Mapping[kept.Key, np.ndarray]) -> list[ForwardRows]:
        """This rank's share of a task: of the batches that are known, which go first, and of the others."""
        rank, world = distributed.rank(), distributed.world()
        work = batch_queue(sets, self.budget, self.model.packed)
        done = [item for item in work if is_known(item, known)]
        return rank_share(done, rank, world) + rank_share(
            [item for item in work if not is_known(item, known)], rank, world, self.lockstep
        )

    def _work_digest(self, read: Sequence[Subset]) -> str:
        """A digest of all that decides on the predictions of a task and on the batches that they are made in; on rank 0."""
        scoring = self.scoring
        rows = [self.preparation.folders[part].name for subset in read for part in parts(subset)]
        options = scoring.request.options(read[0].task)
        return digest(scoring.model, options, scoring.precision, rows, self.budget, self.model.packed)

    def _add_cost(self, before: kept.BatchCost) -> None:
        """Count on rank 0 what an earlier start took."""
        if self.smoothing and distributed.rank() == 0:
            self.smoothing.forward_passes += before[0]
            self.smoothing.seconds += before[1]

    @property
    def _own_cost(self) -> kept.BatchCost:
        """What this rank took since it was asked last."""
        return (self.smoothing.forward_passes, self.smoothing.seconds) if self.smoothing else (0, 0.0)

    def _total_cost(self) -> dict[str, float]:
        """What smoothing took since it was asked last, over all ranks; nothing without it. Collective."""
        if not self.smoothing:
            return {}
        passes, seconds = distributed.sum_over_ranks([self.smoothing.forward_passes, self.smoothing.seconds])
        self.smoothing.forward_passes, self.smoothing.seconds = 0, 0.0
        return {"forward_passes": int(passes), "seconds": round(seconds, 3)}


def show_scores(
    sinks: Sinks,
    step: int,
    task: Task,
    found: dict[str, dict[str, float]],
    entry: Mapping[str, Any] = MappingProxyType({}),
    read: Pretraining | None = None,
) -> None:
    """eval/<task>/<language>: the official metric of each language that has gold; mean/<task>/<group>: means over languages by
    how much of them was `read`; eval/<task>/collapsed: what all predictions are, by the task's `entry` in scores.json."""
    name = metric(task.metric).headline
    sinks.scalars(step, {f"eval/{task.name}/{code}": numbers[name] for code, numbers in found.items() if name in numbers})
    if read:
        scores = {code: numbers[name] for code, numbers in entry.get("languages", found).items() if name in numbers}
        groups = {group: [scores[code] for code in scores if read.group(code) == group] for group in EVERY_GROUP}
        parts = {group: values for group, values in groups.items() if 0 < len(values) < len(scores)}
        means = {**parts, "all languages": [*scores.values()]} if scores else {}
        sinks.scalars(step, {f"mean/{task.name}/{group}": fmean(values) for group, values in means.items()})
    if lines := describe_collapse(task.name, entry):
        sinks.text(step, f"eval/{task.name}/collapsed", "\n\n".join(lines))
    sinks.flush()


def evaluate(
    request: Request,
    section: ModelSection,
    runtime: Runtime,
    config: DeepSpeed,
    preparation: Preparation,
    start: Start,
    seed: int,
    align: Aligner | None = None,
) -> bool:
    """Predict what is not predicted and score what is not scored, into the run's folder; `section` says how to load the
    model that `request` names, `align` gives it maps of languages. False where it was stopped: started again, it resumes from
    there. Raises UserError as `plan_work` does. Collective."""
    with closing(StopRequest(request.folder.stop, True, runtime.max_minutes)) as stop_request:
        done, lockstep = True, config.stage == 3
        scoring = Scoring(request, config.precision, Measuring(preparation.tokenizer))
        sinks = Sinks(runtime.sinks if distributed.rank() == 0 else (), start)
        predict = set(on_first(lambda: _begin(scoring, sinks)))
        if subsets := [subset for subset in request.subsets if str(subset) in predict]:
            section, tokenizer = section.model_copy(update={"backbone": request.model}), preparation.tokenizer
            with zero3.partitioned_loading(config):
                packed, layer = runtime.attention == "packed", request.how.layer
                model = load_for_evaluation(section, tokenizer, subsets, config.dtype, layer=layer, packed=packed, seed=seed)
            if distributed.rank() == 0:
                log.info(remarks.attention_remark(model, distributed.device().type))
                for line in held.describe_languages(model.encoder, (subset.read_as for subset in subsets)):
                    log.info(line)
            if branches := branches_of(model.encoder):
                branches.mixed = request.how.branches == "mixture"
                for line in (
                    branches.describe_languages([subset.read_as for subset in subsets]) if distributed.rank() == 0 else ()
                ):
                    log.info(line)
            smoothing = None
            if request.how.smoothing:
                special = torch.tensor(sorted(tokenizer.all_special_ids), device=distributed.device())
                smoothing = Smoothing(request.how.smoothing, seed, special)
            budget = budget_of(runtime, distributed.device().type)
            with zero3.place_model(model, config) as placed:
                if align:
                    align(placed, budget, lockstep)
                what = (placed, preparation, scoring, sinks)
                stop = partial(_stop_requested, stop_request, request.folder.stop, lockstep)
                evaluator = Evaluator(*what, budget=budget, lockstep=lockstep, smoothing=smoothing, stop=stop)
                done = evaluator.run_all(group_by_task(subsets))
        if done and distributed.rank() == 0 and (means := scoring.scores.means):
            sinks.outcome(means)
        sinks.close()
        if distributed.rank() == 0:
            scoring.digests.remember()
            if done and (blanked := subsets_without_gold(request)):
                say(without_gold_line(blanked))
            for line in (*collapse_lines(request), *overlaps(request.lineage, (subset.task for subset in request.subsets))):
                say(line)
        distributed.barrier()
        return done


def _stop_requested(request: StopRequest, file: Path, lockstep: bool) -> bool:
    """Whether this rank is to stop. Ranks that work for themselves learn it of each other by the file, at once where it can be
    written; those in lockstep agree."""
    if lockstep:
        return any(distributed.every(int(bool(request))))
    if request and not file.exists():
        with suppress(OSError):
            file.touch()
    return bool(request)


def _begin(scoring: Scoring, sinks: Sinks) -> list[str]:
    """On rank 0: score what is predicted already; which subsets are left to predict."""
    todo = plan_work(scoring.request, scoring.digests, scoring.precision)
    for line in earlier_notes(scoring.request, todo):
        say(line)
    scoring.make_room(todo.predict)
    scoring.scores.group_by(scoring.request.pretraining, scoring.request.read_since)
    for subsets in group_by_task(todo.score).values():
        task, values = subsets[0].task, scoring.rescore(subsets)
        read = recorded_list(scoring.scores.values.get("pretraining"))
        show_scores(sinks, last_step(scoring.folder.metrics), task, values, scoring.scores.tasks[task.name], read)
    return [str(subset) for subset in todo.predict]
