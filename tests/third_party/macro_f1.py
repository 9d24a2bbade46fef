"""Macro F1 of classification as scikit-learn defines it: the mean of the F1 of each label that is gold or predicted."""

import numpy as np

from xdist.metrics import Metric, register


def rows(predictions, gold, given):
    """Per example and label whether it was rightly predicted, predicted, gold."""
    counts = np.zeros((len(gold), 3, len(given.labels)))
    for row, predicted, true in zip(counts, map(given.labels.index, predictions), map(given.labels.index, gold), strict=True):
        row[0, true] = predicted == true
        row[1, predicted] = row[2, true] = 1
    return counts.reshape(len(gold), -1)


def score(sums):
    right, predicted, true = np.moveaxis(sums.reshape(len(sums), 3, -1), 1, 0)
    there = predicted + true > 0
    f1 = np.divide(2 * right, predicted + true, out=np.zeros_like(right), where=there)
    return {"macro_f1": f1.sum(axis=1) / there.sum(axis=1)}


register(Metric(name="macro-f1", families=("classification",), numbers=("macro_f1",), rows=rows, score=score))
