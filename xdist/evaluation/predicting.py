"""The forward passes of evaluation: this rank's batches of a task to predictions by row."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from xdist.data.batches import collate, row_id
from xdist.data.shards import Rows
from xdist.data.subset import Subset
from xdist.evaluation.kept import Key
from xdist.evaluation.queue import ForwardRows
from xdist.evaluation.vectors import Vectors, predictions
from xdist.model.model import Model
from xdist.run import distributed
from xdist.tasks.batch import Batch, View
from xdist.tasks.family import Family
from xdist.tasks.retrieval import Retrieval

# What a family predicts from: the outputs of its head, or of a retrieval family the (R, d) vectors of the rows.
Forward = Callable[[Model, Family, Batch], Tensor]


class Stopped(Exception):
    """A rank was asked to stop. `found`: what this one has got so far, by (set number, row): predictions, or vectors."""

    def __init__(self, found: Mapping[Key, np.ndarray]) -> None:
        super().__init__("stopped")
        self.found = found


def once(model: Model, family: Family, batch: Batch) -> Tensor:
    """One forward pass of the batch as it is."""
    (outputs,) = model(View(batch))
    return family.vectors(outputs, batch) if isinstance(family, Retrieval) else outputs


def is_known(item: ForwardRows, known: Mapping[Key, np.ndarray]) -> bool:
    return not item.dummy and all(key in known for key in item.rows)


def by_row(gathered: Sequence[Mapping[Key, np.ndarray]], subsets: int) -> list[dict[int, np.ndarray]]:
    """What ranks predicted, of each subset by row; a row that several ranks had, so that all have equally many, stands once."""
    results: list[dict[int, np.ndarray]] = [{} for _ in range(subsets)]
    for part in gathered:
        for (number, row), value in part.items():
            results[number][row] = value
    return results


def predict(
    model: Model,
    family: Family,
    read: Sequence[Subset],
    sets: Sequence[Rows],
    subsets: int,
    work: Sequence[ForwardRows],
    forward: Forward = once,
    advance: Callable[[int], None] = lambda rows: None,
    known: Mapping[Key, np.ndarray] = MappingProxyType({}),
    stop: Callable[[], bool] | None = None,
) -> dict[Key, np.ndarray]:
    """This rank's share of a task's rows: {(set number, row): prediction}. `sets` are the rows of `read`, of which the first
    `subsets` are scored and the others hold candidates. Vectors are not predictions: of a retrieval task what they find is.
    Collective for retrieval and ZeRO-3; `advance` hears of the rows of each batch. Batches that are `known`, as `Stopped` gave
    them, are not computed again. `stop` is asked before each of the others; where it is given the call is collective, and all
    ranks raise Stopped if any was asked."""
    found: dict[Key, np.ndarray] = {}
    retrieval = family if isinstance(family, Retrieval) else None
    vectors = Vectors(sets, [item for item in work if not item.dummy], model.width) if retrieval else None
    stopped = False
    with torch.no_grad():  # not inference mode: weights that ZeRO-3 gathers in it could not be trained on afterwards
        for item in work:
            if is_known(item, known):
                if vectors:
                    vectors.put(torch.from_numpy(np.stack([known[key] for key in item.rows])))
                else:
                    found.update((key, known[key]) for key in item.rows)
                advance(len(item.rows))
                continue
            if stop and stop():
                stopped = True
                break
            rows = [sets[number].row(row) for number, row in item.rows]
            # The same in every evaluation, whatever else is scored: noise is drawn by it.
            ids = [row_id(zlib.crc32(str(read[number]).encode()) & 0x7FFFFF, row) for number, row in item.rows]
            languages = [read[number].language for number, _ in item.rows]
            batch = collate(rows, ids, family, languages=languages).to(distributed.device())
            outputs = forward(model, family, batch)
            if item.dummy:
                continue
            if vectors:
                vectors.put(outputs)
            else:
                found.update(zip(item.rows, family.predict(outputs, batch), strict=True))
            advance(len(rows))
    if stop and any(distributed.every(int(stopped))):
        raise Stopped(vectors.filled() if vectors else found)
    return predictions(retrieval, sets, subsets, vectors) if retrieval and vectors else found
