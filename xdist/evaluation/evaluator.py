"""Evaluate a model on many tasks and languages, on all ranks: encode once, predict, gather once per task, score, write."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from xdist.config import Model as ModelSection
from xdist.config import Runtime
from xdist.data.prepare import Preparation
from xdist.data.subset import Subset, pool_subsets
from xdist.engine import zero3
from xdist.errors import UserError
from xdist.evaluation.predicting import once, predict
from xdist.evaluation.queue import budget_of, queue, share
from xdist.evaluation.request import Request
from xdist.evaluation.scores import said, without_gold
from xdist.evaluation.scoring import Scoring
from xdist.evaluation.smoothing import Smoothing
from xdist.evaluation.to_do import by_task, to_do, untold
from xdist.metrics import metric
from xdist.model.backbone import check_layer
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads
from xdist.model.model import Model
from xdist.run import distributed
from xdist.run.ds_config import DeepSpeed
from xdist.run.progress import Progress, say
from xdist.run.sinks import Sinks, Start
from xdist.run.sinks.json_lines import last_step
from xdist.run.together import on_first
from xdist.tasks.catalog import Task
from xdist.tasks.family import family_of


def load_for_evaluation(
    section: ModelSection,
    tokenizer: PreTrainedTokenizerBase,
    subsets: Sequence[Subset],
    dtype: torch.dtype,
    *,
    layer: int | None = None,
    packed: bool = True,
    seed: int = 0,
) -> Model:
    """The model in the folder `section.backbone` with the heads that `subsets` need; sentence vectors come from hidden `layer`.
    Raises UserError naming a head or layer that it does not hold."""
    folder = section.backbone
    families = {subset.task.head: family_of(subset.task) for subset in subsets}
    model = Model(load_encoder(section, tokenizer, dtype), families, seed, packed)
    check_layer(layer, folder, model.encoder.config)
    if layer is not None:
        model.layers.update({name: layer for name, family in families.items() if family.task.layer})
    carried, _ = carry_heads(folder, model, section.labels, needed=True)
    for name, head in model.heads.items():
        if name not in carried and any(True for _ in head.parameters()):
            raise UserError(f"{folder}: holds no head '{name}' (it has: {', '.join(carried) or 'none'}); train that task first")
    return model.eval()


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
    ) -> None:
        """`budget`: tokens of a forward pass; in `lockstep` all ranks make equally many."""
        self.model, self.preparation, self.scoring, self.sinks = model, preparation, scoring, sinks
        self.budget, self.lockstep, self.smoothing = budget, lockstep, smoothing

    def run_all(self, todo: dict[str, list[Subset]]) -> None:
        """Predict, gather, write and score `todo` (subsets by task), one task after another."""
        rank, world = distributed.rank(), distributed.world()
        read = {name: [*subsets, *pool_subsets(subsets[0].task)] for name, subsets in todo.items()}
        sets = {name: list(self.preparation.shards(subsets)) for name, subsets in read.items()}
        work = {
            name: share(queue(parts, self.budget, self.model.packed), rank, world, self.lockstep)
            for name, parts in sets.items()
        }
        rows = sum(len(item.rows) for items in work.values() for item in items if not item.dummy)
        progress = Progress(f"evaluate {self.scoring.request.name}", rows, enabled=rank == 0)
        try:
            for name, subsets in todo.items():
                progress.note(name)
                # The task's own family, not the head's: tasks that share a head may have metrics of their own.
                family = family_of(subsets[0].task)
                forward = self.smoothing.outputs if self.smoothing else once
                what = (family, read[name], sets[name], len(subsets), work[name])
                predicted = predict(self.model, *what, forward, progress.advance)
                cost = self._cost()
                gathered = distributed.gather_on_first(predicted)
                if gathered is not None:
                    results: list[dict[int, Any]] = [{} for _ in subsets]
                    for part in gathered:
                        for (number, row), value in part.items():
                            results[number][row] = value
                    found = self.scoring.predicted(subsets, sets[name], results, cost)
                    show_scores(self.sinks, last_step(self.scoring.folder.metrics), subsets[0].task, found)
        finally:
            progress.close()

    def _cost(self) -> dict[str, float]:
        """What smoothing took since it was asked last, over all ranks; nothing without it. Collective."""
        if not self.smoothing:
            return {}
        passes, seconds = distributed.sum_over_ranks([self.smoothing.forward_passes, self.smoothing.seconds])
        self.smoothing.forward_passes, self.smoothing.seconds = 0, 0.0
        return {"forward_passes": int(passes), "seconds": round(seconds, 3)}


def show_scores(sinks: Sinks, step: int, task: Task, found: dict[str, dict[str, float]]) -> None:
    """eval/<task>/<language>: the official metric of each language that has gold."""
    name = metric(task.metric).headline
    sinks.scalars(step, {f"eval/{task.name}/{code}": one[name] for code, one in found.items() if name in one})
    sinks.flush()


def evaluate(
    request: Request,
    section: ModelSection,
    runtime: Runtime,
    config: DeepSpeed,
    preparation: Preparation,
    start: Start,
    seed: int,
) -> None:
    """Predict what is not predicted and score what is not scored, into the run's folder; `section` says how to load the
    model that `request` names. Raises UserError as `to_do` does. Collective."""
    scoring = Scoring(request, config.precision)
    sinks = Sinks(runtime.sinks if distributed.rank() == 0 else (), start)
    predict = set(on_first(lambda: _begin(scoring, sinks)))
    if subsets := [subset for subset in request.subsets if str(subset) in predict]:
        section, tokenizer = section.model_copy(update={"backbone": request.model}), preparation.tokenizer
        with zero3.partitioned_loading(config):
            packed, layer = runtime.attention == "packed", request.how.layer
            model = load_for_evaluation(section, tokenizer, subsets, config.dtype, layer=layer, packed=packed, seed=seed)
        smoothing = None
        if request.how.smoothing:
            special = torch.tensor(sorted(tokenizer.all_special_ids), device=distributed.device())
            smoothing = Smoothing(request.how.smoothing, seed, special)
        budget = budget_of(runtime, distributed.device().type)
        with zero3.placed(model, config) as placed:
            what = (placed, preparation, scoring, sinks)
            Evaluator(*what, budget=budget, lockstep=config.stage == 3, smoothing=smoothing).run_all(by_task(subsets))
    sinks.close()
    if distributed.rank() == 0:
        scoring.digests.remember()
        if blanked := without_gold(request):
            say(said(blanked))
    distributed.barrier()


def _begin(scoring: Scoring, sinks: Sinks) -> list[str]:
    """On rank 0: score what is predicted already; which subsets are left to predict."""
    todo = to_do(scoring.request, scoring.digests, scoring.precision)
    for line in untold(scoring.request, todo):
        say(line)
    scoring.make_room(todo.predict)
    for subsets in by_task(todo.score).values():
        show_scores(sinks, last_step(scoring.folder.metrics), subsets[0].task, scoring.again(subsets))
    return [str(subset) for subset in todo.predict]
