"""The forward passes of evaluation: this rank's batches of a task to predictions by row."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from xdist.data.batches import collate
from xdist.data.shards import Rows
from xdist.evaluation.queue import Work
from xdist.evaluation.vectors import Key, Vectors, predictions
from xdist.model.model import Model
from xdist.runtime import distributed
from xdist.tasks.family import Family
from xdist.tasks.retrieval import Retrieval


def predict(
    model: Model,
    family: Family,
    sets: Sequence[Rows],
    pieces: int,
    work: Sequence[Work],
    advance: Callable[[int], None] = lambda rows: None,
) -> dict[Key, np.ndarray]:
    """This rank's share of a task's rows: {(set number, row): prediction}. The first `pieces` of `sets` are scored, the others
    hold candidates. Vectors are not predictions: of a retrieval task what they find is. Collective for retrieval and ZeRO-3;
    `advance` hears of the rows of each batch."""
    found: dict[Key, np.ndarray] = {}
    retrieval = family if isinstance(family, Retrieval) else None
    vectors = Vectors(sets, [item for item in work if not item.dummy], model.width) if retrieval else None
    with torch.no_grad():  # not inference mode: weights that ZeRO-3 gathers in it could not be trained on afterwards
        for item in work:
            rows = [sets[number].row(row) for number, row in item.rows]
            batch = collate(rows, range(len(rows)), family).to(distributed.device())
            outputs = model(batch)
            if item.dummy:
                continue
            if retrieval and vectors:
                vectors.put(retrieval.vectors(outputs, batch))
            else:
                found.update(zip(item.rows, family.predict(outputs, batch), strict=True))
            advance(len(rows))
    return predictions(retrieval, sets, pieces, vectors) if retrieval and vectors else found
