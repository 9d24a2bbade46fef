"""From the vectors of a retrieval task to its predictions: candidates stay on the rank that encoded them."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xdist.data.shards import Rows
from xdist.evaluation.kept import Key
from xdist.evaluation.queue import ForwardRows
from xdist.evaluation.search import search_candidates
from xdist.tasks.retrieval import Retrieval


class Vectors:
    """This rank's share of the rows of `sets` as unit vectors, in the order of set, side and row."""

    def __init__(self, sets: Sequence[Rows], work: Sequence[ForwardRows], width: int) -> None:
        keys = np.array([key for item in work for key in item.rows], np.int64).reshape(-1, 2)
        sides = [rows.column("side").astype(np.int64) for rows in sets]
        self._sides = 1 + max((int(side.max()) for side in sides if len(side)), default=0)
        code = keys[:, 0] * self._sides + np.array([sides[number][row] for number, row in keys], np.int64)
        order = np.lexsort((keys[:, 1], code))
        self._keys, self._code = keys[order], code[order]
        self._place = np.argsort(order)
        self._values = np.empty((len(keys), width), np.float32)
        self._filled = 0

    def put(self, vectors: Tensor) -> None:
        """The vectors (n, d) of the next n rows of the work."""
        places = self._place[self._filled : self._filled + len(vectors)]
        self._values[places] = vectors.cpu().numpy()
        self._filled += len(vectors)

    def filled(self) -> dict[Key, np.ndarray]:
        """Those that were put so far."""
        places = self._place[: self._filled]
        return {
            (number, row): self._values[place] for place, (number, row) in zip(places, self._keys[places].tolist(), strict=True)
        }

    def part(self, sets: range, side: int) -> tuple[np.ndarray, Tensor]:
        """Keys (n, 2) and vectors (n, d) of one side of consecutive sets; of several sets only if they have no other side."""
        low = np.searchsorted(self._code, sets.start * self._sides + side, "left")
        high = np.searchsorted(self._code, (sets.stop - 1) * self._sides + side, "right")
        return self._keys[low:high], torch.from_numpy(self._values[low:high])


class Joined:
    """The rows of several sets under one numbering."""

    def __init__(self, sets: Sequence[Rows]) -> None:
        self._sets = sets
        self._ends = np.cumsum([len(rows) for rows in sets]).tolist()

    def row(self, number: int) -> dict[str, Any]:
        place = bisect_right(self._ends, number)
        return self._sets[place].row(number - (self._ends[place - 1] if place else 0))


def predict_from_vectors(family: Retrieval, sets: Sequence[Rows], subsets: int, vectors: Vectors) -> dict[Key, np.ndarray]:
    """The prediction of each of this rank's rows that look others up. The first `subsets` of `sets` are scored, the others are
    the pool. Collective."""
    found: dict[Key, np.ndarray] = {}
    everything, pool = range(subsets), range(subsets, len(sets))
    groups = [(everything, pool)] if family.pooled else [(one := range(n, n + 1), one) for n in everything]
    for asking, index in groups:
        begins = np.cumsum([0, *(len(sets[number]) for number in index)])
        joined = Joined([sets[number] for number in index])
        for own, other in family.searches:
            keys, queries = vectors.part(asking, own)
            places, candidates = vectors.part(index, other)
            numbers = torch.from_numpy(begins[places[:, 0] - index.start] + places[:, 1])
            hits = search_candidates(queries, candidates, numbers, family.k)
            answers = family.answers(hits.scores.numpy(), hits.numbers.numpy(), joined)
            found.update(zip(((number, row) for number, row in keys.tolist()), answers, strict=True))
    return found
