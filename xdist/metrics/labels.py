"""Scores over the labels of a task, as scikit-learn defines them: macro and weighted F1, Matthews' correlation coefficient.

All of them follow from three counts of each label, which add up over examples. A label that is neither gold nor predicted in
what is scored is in no mean, also in a draw of the bootstrap; 0/0 is 0 (`zero_division=0`).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xdist.metrics.accuracy import Predicted, answers_of
from xdist.metrics.counts import Array, CountRows, Sums, ratio
from xdist.metrics.definition import Given, Metric, register


def rows(predictions: Sequence[Predicted], gold: Sequence[Predicted], given: Given) -> CountRows:
    """Per example and label of the task how often it was rightly predicted, predicted, and gold, shape [n, 3 * labels]; the
    words of a sentence count one by one. Raises ValueError for another number of predictions, or what is none of the labels."""
    if len(predictions) != len(gold):
        raise ValueError(f"{len(predictions)} predictions for {len(gold)} examples")
    place = {label: number for number, label in enumerate(given.labels)}
    counts = np.zeros((len(gold), 3, len(place)))
    for number, (row, prediction, answer) in enumerate(zip(counts, predictions, gold, strict=True), start=1):
        predicted, wanted = ([str(one).strip() for one in answers_of(side)] for side in (prediction, answer))
        if len(predicted) != len(wanted):
            raise ValueError(f"example {number}: {len(predicted)} predicted for {len(wanted)}")
        if strange := {*predicted, *wanted} - set(place):
            raise ValueError(f"example {number}: '{min(strange)}' is no label of the task")
        for one, gold_label in zip(predicted, wanted, strict=True):
            row[0, place[gold_label]] += one == gold_label
            row[1, place[one]] += 1
            row[2, place[gold_label]] += 1
    return counts.reshape(len(gold), 3 * len(place))


def score(sums: Sums) -> dict[str, Array]:
    """`f1_score` with average "macro" and "weighted", and `accuracy_score`."""
    right, predicted, gold = _counts(sums)
    f1, there = ratio(2 * right, predicted + gold), predicted + gold > 0
    return {
        "macro_f1": ratio(f1.sum(axis=-1), there.sum(axis=-1)),
        "weighted_f1": ratio((f1 * gold).sum(axis=-1), gold.sum(axis=-1)),
        "accuracy": ratio(right.sum(axis=-1), gold.sum(axis=-1)),
    }


def correlation(sums: Sums) -> dict[str, Array]:
    """`matthews_corrcoef` for any number of labels: the correlation of prediction and gold, 0 where one of them is constant."""
    right, predicted, gold = _counts(sums)
    count, hits = gold.sum(axis=-1), right.sum(axis=-1)
    together = hits * count - (predicted * gold).sum(axis=-1)
    of_predicted, of_gold = (count**2 - (side**2).sum(axis=-1) for side in (predicted, gold))
    return {"mcc": ratio(together, np.sqrt(of_predicted * of_gold)), "accuracy": ratio(hits, count)}


def _counts(sums: Sums) -> tuple[Array, Array, Array]:
    """Right, predicted and gold, each [m, labels]."""
    counts = sums.reshape(len(sums), 3, -1)
    return counts[:, 0], counts[:, 1], counts[:, 2]


MACRO_F1 = register(
    Metric(
        name="macro-f1",
        about="mean over labels of the F1 of each, as scikit-learn defines it",
        families=("classification", "tagging"),
        numbers=("macro_f1", "weighted_f1", "accuracy"),
        rows=rows,
        score=score,
    )
)
WEIGHTED_F1 = register(
    replace(
        MACRO_F1,
        name="weighted-f1",
        about="mean over labels of the F1 of each, weighted by how often it is gold, as scikit-learn defines it",
        numbers=("weighted_f1", "macro_f1", "accuracy"),
    )
)
MCC = register(
    replace(
        MACRO_F1,
        name="mcc",
        about="Matthews' correlation coefficient of predictions and gold, for two labels or more, as scikit-learn defines it",
        numbers=("mcc", "accuracy"),
        score=correlation,
        bounds=(-1.0, 1.0),
    )
)
