"""nDCG of graded relevance, as XGLUE scores WPR: a query's rows are ranked by what was predicted of each.

Gain is the label itself, the discount log2(rank + 1), without a cut-off. Predictions that are equal share the mean gain of
their places, so no order of ties is better than another (McSherry and Najork 2008; scikit-learn's `ndcg_score`). A query is a
run of consecutive rows of one first text: the same text further down is another query. A run of one row has no order and is
left out; one whose gold is all zero scores 0 and counts.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike

from xdist.metrics.counts import Array, CountRows, Sums, ratio
from xdist.metrics.definition import Given, Metric, register


def runs(queries: Sequence[str]) -> list[slice]:
    """The rows of each run of equal neighbours that has two rows or more, in order."""
    found, at = [], 0
    for _, group in groupby(queries):
        length = sum(1 for _ in group)
        if length > 1:
            found.append(slice(at, at + length))
        at += length
    return found


def ndcg(gold: ArrayLike, predictions: ArrayLike) -> float:
    """Of one query, 0 to 1: `gold` its labels, none below 0, `predictions` a number for each. 0 where all labels are 0."""
    gains, scores = np.asarray(gold, np.float64), np.asarray(predictions, np.float64)
    discounts = 1 / np.log2(np.arange(len(gains)) + 2)
    best = float(np.sort(gains)[::-1] @ discounts)
    if best == 0:
        return 0.0
    _, tie, size = np.unique(-scores, return_inverse=True, return_counts=True)
    mean = np.bincount(tie, weights=gains) / size
    ends = np.cumsum(size)
    total = np.concatenate([[0.0], np.cumsum(discounts)])
    return float(mean @ (total[ends] - total[ends - size])) / best


def rows(predictions: Sequence[str | float], gold: Sequence[str | float], given: Given) -> CountRows:
    """nDCG and 1 per query, in the order of the file; labels and predictions are numbers or written ones. Shape [n, 2], 0 to 1.
    Raises ValueError for another number of predictions, or of examples, whose first text is the query."""
    if not len(predictions) == len(gold) == len(given.examples):
        raise ValueError(f"{len(predictions)} predictions and {len(gold)} labels for {len(given.examples)} examples")
    scores, labels = (np.array([float(value) for value in values]) for values in (predictions, gold))
    queries = runs([example.texts[0] for example in given.examples])
    found = [(ndcg(labels[run], scores[run]), 1.0) for run in queries]
    return np.array(found, dtype=np.float64).reshape(-1, 2)


def score(sums: Sums) -> dict[str, Array]:
    return {"ndcg": ratio(sums[:, 0], sums[:, 1])}


def _not_graded(labels: Sequence[str], languages: Sequence[str]) -> str | None:
    for label in labels:
        if not label.isascii() or not label.isdigit():
            return f"label '{label}' is no number from 0 on"
    return None


NDCG = register(
    Metric(
        name="ndcg",
        about="mean over queries (runs of rows with one first text) of nDCG: the gain is the label, ties are averaged",
        families=("classification",),
        numbers=("ndcg",),
        rows=rows,
        score=score,
        graded=True,
        refuses=_not_graded,
    )
)
