"""Evaluate a model on many tasks and languages, on all ranks: encode once, predict, gather once per task, score, write."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from xdist.config import Run
from xdist.data.fetched import found_model
from xdist.data.pieces import Piece, pool_pieces, training_pieces
from xdist.data.prepare import Preparation
from xdist.data.shards import Rows
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.predicting import once, predict
from xdist.evaluation.queue import budget_of, queue, share
from xdist.evaluation.scores import Scores, smoothing_of, unscored
from xdist.evaluation.smoothing import Smoothing
from xdist.languages import by_size
from xdist.metrics import metric
from xdist.model.backbone import check_layer
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads
from xdist.model.model import Model
from xdist.runtime import distributed, ds_config, zero3
from xdist.runtime.progress import Progress
from xdist.runtime.run_folder import RunFolder
from xdist.runtime.sinks import Sinks, Start
from xdist.runtime.sinks.json_lines import last_step
from xdist.tasks.catalog import Task
from xdist.tasks.family import family_of
from xdist.tasks.retrieval import Retrieval


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
    """Scores what of `run.evaluate` is not scored yet. One instance per rank; `run()` is collective."""

    def __init__(
        self, run: Run, model: Model, preparation: Preparation, tokenizer: PreTrainedTokenizerBase, lockstep: bool
    ) -> None:
        assert run.evaluate is not None
        self.run, self.preparation = run, preparation
        self.folder = RunFolder(run.folder)
        self.model, self.lockstep = model, lockstep
        self.smoothing: Smoothing | None = None
        if run.evaluate.smoothing:
            special = torch.tensor(sorted(tokenizer.all_special_ids), device=distributed.device())
            self.smoothing = Smoothing(run.evaluate.smoothing, run.seed, special)

    def run_all(self, todo: dict[str, list[Piece]], scores: Scores) -> None:
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
        sinks = Sinks(self.run.runtime.sinks if rank == 0 else (), Start(self.folder.path, self.run.name, self.run.dump()))
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
                    found = self._score(pieces, sets[name], gathered, scores, cost)
                    show_scores(sinks, last_step(self.folder.metrics), pieces[0].task, found)
        finally:
            progress.close()
            sinks.close()

    def _score(
        self,
        pieces: list[Piece],
        sets: list[Rows],
        gathered: list[dict[tuple[int, int], Any]],
        scores: Scores,
        cost: dict[str, float],
    ) -> dict[str, dict[str, float]]:
        results: list[dict[int, Any]] = [{} for _ in pieces]
        for part in gathered:
            for (number, row), value in part.items():
                results[number][row] = value
        found = {
            piece.language: self._finish(piece, shards, by_row)
            for piece, shards, by_row in zip(pieces, sets, results, strict=False)  # a pool comes after the pieces
        }
        task = pieces[0].task
        seen = by_size({piece.language for piece in training_pieces(self.run) if piece.task.head == task.head})
        assert self.run.evaluate
        scores.add(task, pieces[0].split, seen, found, self.run.evaluate.layer, smoothing_of(self.run), cost)
        return found

    def _cost(self) -> dict[str, float]:
        """What smoothing took since it was asked last, over all ranks; nothing without it. Collective."""
        if not self.smoothing:
            return {}
        passes, seconds = distributed.sum_over_ranks([self.smoothing.forward_passes, self.smoothing.seconds])
        self.smoothing.forward_passes, self.smoothing.seconds = 0, 0.0
        return {"forward_passes": int(passes), "seconds": round(seconds, 3)}

    def _finish(self, piece: Piece, shards: Rows, by_row: dict[int, Any]) -> dict[str, float]:
        """Write the submission file of a language and score it."""
        family = family_of(piece.task)
        examples = list(piece.task.examples(self.run.data.root, piece.split, piece.language))
        assert isinstance(family, Retrieval) or len(by_row) == len(shards), piece
        finished = family.finish([by_row[row] for row in sorted(by_row)], shards, examples)
        submission.write(
            submission.path(self.folder.predictions, piece.task, piece.split, piece.language), piece.task, finished
        )
        return {**family.score(finished, examples, piece.language), "count": len(finished)}


def show_scores(sinks: Sinks, step: int, task: Task, found: dict[str, dict[str, float]]) -> None:
    """eval/<task>/<language>: the official metric of each language that has gold."""
    name = metric(task.metric).headline
    sinks.scalars(step, {f"eval/{task.name}/{code}": one[name] for code, one in found.items() if name in one})
    sinks.flush()


def evaluate(run: Run, tokenizer: PreTrainedTokenizerBase, preparation: Preparation) -> None:
    """Score what is unscored, into the run's folder. Collective."""
    folder = RunFolder(run.folder)
    if pieces := unscored(run):
        todo: dict[str, list[Piece]] = {}
        for piece in pieces:
            todo.setdefault(piece.task.name, []).append(piece)
        source = str(folder.model) if run.train else found_model(run).backbone
        config = ds_config.resolve(run)
        with zero3.partitioned_loading(config):
            model = load_for_evaluation(run, source, tokenizer, pieces, ds_config.dtype(config))
        with zero3.placed(model, config) as placed:
            evaluator = Evaluator(run, placed, preparation, tokenizer, zero3.stage(config) == 3)
            evaluator.run_all(todo, Scores(folder.scores, run.name))
    distributed.barrier()
