"""How good a model is on dev while it trains: what `train.select` keeps the best model by."""

from collections.abc import Sequence

import torch

from xdist.config import Select
from xdist.data.batches import collate
from xdist.data.deal import deal_to_rank
from xdist.data.prepare import Preparation
from xdist.data.shards import Rows
from xdist.data.subset import Subset
from xdist.evaluation.predicting import predict_rows, predictions_by_row
from xdist.evaluation.queue import batch_queue, rank_share
from xdist.metrics import metric
from xdist.model.model import Model
from xdist.run import distributed
from xdist.tasks.batch import View
from xdist.tasks.family import family_of


class DevJudge:
    """`judge(model)` is a number on every rank, larger for a better model: the mean over the dev subsets of the headline of the
    task's metric (of minus it where less is better), or of minus the loss per valid token or example. Collective; all ranks
    make equally many forward passes."""

    def __init__(
        self, select: Select, subsets: Sequence[Subset], preparation: Preparation, *, budget: int, negatives: int | None = None
    ) -> None:
        """`budget`: tokens of a forward pass; `negatives` as in training, None: each task's own."""
        self.by, self.subsets, self.budget, self.negatives = select.by, subsets, budget, negatives
        self.sets = list(preparation.shards(subsets))
        self._root = preparation.data.root

    def __call__(self, model: Model) -> float:
        training = model.training
        model.eval()
        try:
            values = [self._value(model, subset, rows) for subset, rows in zip(self.subsets, self.sets, strict=True)]
        finally:
            model.train(training)
        return sum(values) / len(values)

    def _value(self, model: Model, subset: Subset, rows: Rows) -> float:
        return self._score(model, subset, rows) if self.by == "score" else -self._loss(model, subset, rows)

    def _score(self, model: Model, subset: Subset, rows: Rows) -> float:
        family = family_of(subset.task)
        work = rank_share(
            batch_queue([rows], self.budget, model.packed), distributed.rank(), distributed.world(), lockstep=True
        )
        gathered = distributed.gather_on_first(predict_rows(model, family, [subset], [rows], 1, work))
        value = 0.0
        if gathered is not None:
            (found,) = predictions_by_row(gathered, 1)
            examples = list(subset.task.examples(self._root, subset.split, subset.language))
            finished = family.finish([found[row] for row in sorted(found)], rows, examples)
            by = metric(subset.task.metric)
            value = by.sign * family.score(finished, examples, subset.language)[by.headline]
        return float(distributed.agree(value))

    def _loss(self, model: Model, subset: Subset, rows: Rows) -> float:
        """Rows that a loss compares are consecutive ones of the file, as many as in training."""
        family, tokens = family_of(subset.task), rows.tokens
        size = self.negatives or subset.task.negatives if subset.task.negatives > 1 else 1
        groups = [range(low, min(low + size, len(rows))) for low in range(0, len(rows), size)]
        padded = torch.tensor([int(max(tokens[group])) * len(group) for group in groups]).numpy()
        total = valid = 0.0
        with torch.no_grad():
            for micro in deal_to_rank(distributed.rank(), padded, distributed.world(), self.budget):
                drawn = [(number, row) for number in micro.rows for row in groups[number]]
                group = [number for number, _ in drawn] if size > 1 else None
                ids, languages = [row for _, row in drawn], [subset.language] * len(drawn)
                batch = collate([rows.row(row) for row in ids], ids, family, micro.dummy, group, languages)
                batch = batch.to(distributed.device())
                (outputs,) = model(View(batch))
                loss = family.loss(outputs, batch)
                if not micro.dummy:
                    total, valid = total + float(loss), valid + family.count(batch)
        total, valid = distributed.sum_over_ranks([total, valid])
        return total / valid
