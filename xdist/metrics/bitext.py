"""Retrieval of translations in both directions: accuracy, the F1 of mteb's bitext mining, top-10 accuracy as Glot500 has it.

A pair is a sentence of the pivot, usually English, and its translation. Numbers without more to their name are of the search
from the pivot, as for Tatoeba in XTREME; `_back` are those of the search the other way.

mteb takes the row that is found for a label and averages the F1 of the labels by how often each is gold. A row that is the
nearest of many queries is so counted down. What a query adds to that average is the F1 of its own gold row, over all queries of
the set: a draw of the bootstrap draws these parts, not new neighbours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from xdist.metrics.counts import Array, CountRows, Sums, ratio
from xdist.metrics.definition import Given, Metric, register

NEAREST = 10
OF_A_WAY = ("accuracy", "f1", f"top{NEAREST}")
NUMBERS = (*OF_A_WAY, *(f"{name}_back" for name in OF_A_WAY))


def rows(predictions: Sequence[Sequence[int]], gold: Sequence[str], given: Given) -> CountRows:
    """Per pair what it adds to each of NUMBERS, and 1; shape [n, 7]. `gold`: of each sentence of the pivot the row of its
    translation. `predictions`: the nearest rows, best first, of every sentence of the pivot, then of every other one.
    Raises ValueError for another number of them, and for two sentences with one translation."""
    pairs = len(gold)
    if len(predictions) != 2 * pairs:
        raise ValueError(f"{len(predictions)} predictions for {pairs} pairs, each to be found from both sides")
    there = [int(row) for row in gold]
    if sorted(there) != list(range(pairs)):
        raise ValueError("two sentences have one translation, or a sentence has none")
    back = np.argsort(there).tolist()
    found = np.ones((pairs, len(NUMBERS) + 1))
    found[:, :3] = list(_way(predictions[:pairs], there))
    of_others = np.array(list(_way(predictions[pairs:], back)))
    found[:, 3:6] = of_others[there]  # a pair is one row, under its sentence of the pivot
    return found


def _way(rankings: Sequence[Sequence[int]], gold: Sequence[int]) -> Iterator[tuple[float, float, float]]:
    """Per query whether its translation is found first, the F1 of the row that it is, and whether it is among the nearest."""
    times = np.bincount([ranking[0] for ranking in rankings], minlength=len(gold))
    for ranking, row in zip(rankings, gold, strict=True):
        right = ranking[0] == row
        yield float(right), 2 * right / (times[row] + 1), float(row in ranking[:NEAREST])


def score(sums: Sums) -> dict[str, Array]:
    return {name: ratio(sums[:, place], sums[:, -1]) for place, name in enumerate(NUMBERS)}


ACCURACY = register(
    Metric(
        name="bitext-accuracy",
        about="share of the sentences whose translation is the nearest; `_back`: from the other side; also F1 and top 10",
        families=("sentence-retrieval",),
        numbers=NUMBERS,
        rows=rows,
        score=score,
        nearest=NEAREST,
        both_ways=True,
    )
)


def _ranked_by(number: str, about: str) -> Metric:
    return register(
        replace(ACCURACY, name=f"bitext-{number}", about=about, numbers=(number, *(one for one in NUMBERS if one != number)))
    )


F1 = _ranked_by("f1", "the same by F1 of the sentences that are found, weighted, as bitext mining of mteb has it")
TOP = _ranked_by(f"top{NEAREST}", f"the same by the share whose translation is among the {NEAREST} nearest, as Glot500 has it")
