"""Evaluate a model on many tasks and languages, on all ranks: encode once, predict, gather once per task, score, write."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from xdist.config import Run
from xdist.data.pieces import Piece, evaluation_pieces, pool_pieces
from xdist.data.prepare import Preparation
from xdist.errors import UserError
from xdist.evaluation.predicting import once, predict
from xdist.evaluation.queue import budget_of, queue, share
from xdist.evaluation.scores import said, without_gold
from xdist.evaluation.scoring import Scoring
from xdist.evaluation.smoothing import Smoothing
from xdist.evaluation.to_do import by_task, model_of, to_do, untold
from xdist.metrics import metric
from xdist.model.backbone import check_layer
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads
from xdist.model.model import Model
from xdist.runtime import distributed, ds_config, zero3
from xdist.runtime.progress import Progress, say
from xdist.runtime.run_folder import RunFolder
from xdist.runtime.sinks import Sinks, Start
from xdist.runtime.sinks.json_lines import last_step
from xdist.runtime.together import on_first
from xdist.tasks.catalog import Task
from xdist.tasks.family import family_of


def load_for_evaluation(
    run: Run, folder: str, tokenizer: PreTrainedTokenizerBase, pieces: Sequence[Piece], dtype: torch.dtype
) -> Model:
    """The model in `folder` with the heads that `pieces` need. Raises UserError naming a head that it does not hold."""
    section = run.model.model_copy(update={"backbone": folder})
    families = {piece.task.head: family_of(piece.task) for piece in pieces}
    model = Model(load_encoder(section, tokenizer, dtype), families, run.seed, run.runtime.attention == "packed")
    check_layer(run, folder, model.encoder.config)
    if run.evaluate and run.evaluate.layer is not None:
        model.layers.update({name: run.evaluate.layer for name, family in families.items() if family.task.layer})
    carried, _ = carry_heads(folder, model, run.model.labels, needed=True)
    for name, head in model.heads.items():
        if name not in carried and any(True for _ in head.parameters()):
            raise UserError(f"{folder}: holds no head '{name}' (it has: {', '.join(carried) or 'none'}); train that task first")
    return model.eval()


class Evaluator:
    """Predicts what is not predicted yet. One instance per rank; `run_all` is collective; rank 0 does the `scoring`."""

    def __init__(
        self,
        run: Run,
        model: Model,
        preparation: Preparation,
        tokenizer: PreTrainedTokenizerBase,
        lockstep: bool,
        scoring: Scoring,
    ) -> None:
        assert run.evaluate is not None
        self.run, self.preparation = run, preparation
        self.model, self.lockstep, self.scoring = model, lockstep, scoring
        self.smoothing: Smoothing | None = None
        if run.evaluate.smoothing:
            special = torch.tensor(sorted(tokenizer.all_special_ids), device=distributed.device())
            self.smoothing = Smoothing(run.evaluate.smoothing, run.seed, special)

    def run_all(self, todo: dict[str, list[Piece]]) -> None:
        """Predict, gather, write and score `todo` (pieces by task), one task after another."""
        rank, world = distributed.rank(), distributed.world()
        read = {name: [*pieces, *pool_pieces(pieces[0].task)] for name, pieces in todo.items()}
        sets = {name: list(self.preparation.shards(pieces)) for name, pieces in read.items()}
        budget = budget_of(self.run.runtime, distributed.device().type)
        work = {
            name: share(queue(parts, budget, self.model.packed), rank, world, self.lockstep) for name, parts in sets.items()
        }
        rows = sum(len(item.rows) for items in work.values() for item in items if not item.dummy)
        progress = Progress(f"evaluate {self.run.name}", rows, enabled=rank == 0)
        sinks = opened_sinks(self.run)
        try:
            for name, pieces in todo.items():
                progress.note(name)
                # The task's own family, not the head's: tasks that share a head may have metrics of their own.
                family = family_of(pieces[0].task)
                forward = self.smoothing.outputs if self.smoothing else once
                what = (family, read[name], sets[name], len(pieces), work[name])
                predicted = predict(self.model, *what, forward, progress.advance)
                cost = self._cost()
                gathered = distributed.gather_on_first(predicted)
                if gathered is not None:
                    results: list[dict[int, Any]] = [{} for _ in pieces]
                    for part in gathered:
                        for (number, row), value in part.items():
                            results[number][row] = value
                    found = self.scoring.predicted(pieces, sets[name], results, cost)
                    show_scores(sinks, last_step(RunFolder(self.run.folder).metrics), pieces[0].task, found)
        finally:
            progress.close()
            sinks.close()

    def _cost(self) -> dict[str, float]:
        """What smoothing took since it was asked last, over all ranks; nothing without it. Collective."""
        if not self.smoothing:
            return {}
        passes, seconds = distributed.sum_over_ranks([self.smoothing.forward_passes, self.smoothing.seconds])
        self.smoothing.forward_passes, self.smoothing.seconds = 0, 0.0
        return {"forward_passes": int(passes), "seconds": round(seconds, 3)}


def opened_sinks(run: Run) -> Sinks:
    """Those of the run on rank 0; none elsewhere."""
    return Sinks(run.runtime.sinks if distributed.rank() == 0 else (), Start(run.folder, run.name, run.dump()))


def show_scores(sinks: Sinks, step: int, task: Task, found: dict[str, dict[str, float]]) -> None:
    """eval/<task>/<language>: the official metric of each language that has gold."""
    name = metric(task.metric).headline
    sinks.scalars(step, {f"eval/{task.name}/{code}": one[name] for code, one in found.items() if name in one})
    sinks.flush()


def evaluate(run: Run, tokenizer: PreTrainedTokenizerBase, preparation: Preparation) -> None:
    """Predict what is not predicted and score what is not scored, into the run's folder. Raises UserError as `to_do` does.
    Collective."""
    config = ds_config.resolve(run)
    dtype = ds_config.dtype(config)
    precision = "bf16" if dtype == torch.bfloat16 else "fp32"
    scoring = Scoring(run, precision)
    predict = set(on_first(lambda: _begin(run, scoring, precision)))
    if pieces := [piece for piece in evaluation_pieces(run) if str(piece) in predict]:
        with zero3.partitioned_loading(config):
            model = load_for_evaluation(run, model_of(run), tokenizer, pieces, dtype)
        with zero3.placed(model, config) as placed:
            Evaluator(run, placed, preparation, tokenizer, zero3.stage(config) == 3, scoring).run_all(by_task(pieces))
    if distributed.rank() == 0:
        scoring.digests.remember()
        if blanked := without_gold(run):
            say(said(blanked))
    distributed.barrier()


def _begin(run: Run, scoring: Scoring, precision: str) -> list[str]:
    """On rank 0: score what is predicted already; which pieces are left to predict."""
    todo = to_do(run, scoring.digests, precision)
    for line in untold(run, todo):
        say(line)
    scoring.make_room(todo.predict)
    if todo.score:
        sinks = opened_sinks(run)
        for pieces in by_task(todo.score).values():
            show_scores(sinks, last_step(RunFolder(run.folder).metrics), pieces[0].task, scoring.again(pieces))
        sinks.close()
    return [str(piece) for piece in todo.predict]
