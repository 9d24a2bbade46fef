"""The forward passes of evaluation: this rank's batches of a task to predictions by row."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from xdist.data.ahead import make_ahead
from xdist.data.batches import collate, row_id
from xdist.data.shards import Rows
from xdist.data.subset import Subset
from xdist.evaluation.kept import Key
from xdist.evaluation.queue import ForwardRows
from xdist.evaluation.vectors import Vectors, predict_from_vectors
from xdist.model.model import Model
from xdist.run import distributed
from xdist.run.arriving import Arriving
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


def forward_once(model: Model, family: Family, batch: Batch) -> Tensor:
    """One forward pass of the batch as it is."""
    (outputs,) = model(View(batch))
    return family.vectors(outputs, batch) if isinstance(family, Retrieval) else outputs


def is_known(item: ForwardRows, known: Mapping[Key, np.ndarray]) -> bool:
    return not item.dummy and all(key in known for key in item.rows)


def predictions_by_row(gathered: Sequence[Mapping[Key, np.ndarray]], subsets: int) -> list[dict[int, np.ndarray]]:
    """What ranks predicted, of each subset by row; a row that several ranks had, so that all have equally many, is kept
    once."""
    results: list[dict[int, np.ndarray]] = [{} for _ in range(subsets)]
    for part in gathered:
        for (number, row), value in part.items():
            results[number][row] = value
    return results


def predict_rows(
    model: Model,
    family: Family,
    read_sets: Sequence[Subset],
    sets: Sequence[Rows],
    subsets: int,
    work: Sequence[ForwardRows],
    forward: Forward = forward_once,
    advance: Callable[[int], None] = lambda rows: None,
    known: Mapping[Key, np.ndarray] = MappingProxyType({}),
    stop: Callable[[], bool] | None = None,
) -> dict[Key, np.ndarray]:
    """This rank's share of a task's rows: {(set number, row): prediction}. `sets` are the rows of `read_sets`, of which the
    first `subsets` are scored and the others hold candidates. Vectors are not predictions: of a retrieval task what they find
    is. Batches are made in a thread during the passes, and a pass is read when the next has started.
    Collective for retrieval and ZeRO-3; `advance` hears of the rows of each batch. Batches that are `known`, as `Stopped` gave
    them, are not computed again. `stop` is asked before each of the others; where it is given the call is collective, and all
    ranks raise Stopped if any was asked."""
    found: dict[Key, np.ndarray] = {}
    retrieval = family if isinstance(family, Retrieval) else None
    vectors = Vectors(sets, [item for item in work if not item.dummy], model.width) if retrieval else None
    device, stopped = distributed.device(), False
    read_as = [subset.read_as for subset in read_sets]
    under_way: list[tuple[ForwardRows, Batch, Arriving]] = []

    def read() -> None:
        while under_way:
            item, batch, outputs = under_way.pop()
            if vectors:
                vectors.put(outputs.values())
            else:
                found.update(zip(item.rows, family.predict(outputs.values(), batch), strict=True))
            advance(len(item.rows))

    def make_batch(item: ForwardRows) -> Batch:
        rows = [sets[number].row(row) for number, row in item.rows]
        # The same in every evaluation, independent of other scores: noise is drawn by it. 23 bits, which with the row's 40
        # make a positive int64.
        ids = [row_id(zlib.crc32(str(read_sets[number]).encode()) & 0x7FFFFF, row) for number, row in item.rows]
        languages = [read_as[number] for number, _ in item.rows]
        return collate(rows, ids, family, languages=languages).made_for(device, model.packed)

    coming = make_ahead(make_batch, [item for item in work if not is_known(item, known)])
    with torch.no_grad(), closing(coming):  # not inference mode: weights that ZeRO-3 gathers in it could not be trained on
        for item in work:
            if is_known(item, known):
                read()
                if vectors:
                    vectors.put(torch.from_numpy(np.stack([known[key] for key in item.rows])))
                else:
                    found.update((key, known[key]) for key in item.rows)
                advance(len(item.rows))
                continue
            if stop and stop():
                stopped = True
                break
            batch = next(coming)
            outputs = forward(model, family, batch.to(device))
            read()  # what the batch before gave, now that the device is at this one
            if not item.dummy:
                under_way.append((item, batch, Arriving(outputs)))
        read()
    if stop and any(distributed.every(int(stopped))):
        raise Stopped(vectors.filled() if vectors else found)
    return predict_from_vectors(retrieval, sets, subsets, vectors) if retrieval and vectors else found
