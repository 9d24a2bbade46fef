"""Balanced accuracy of classification as scikit-learn defines it: the mean of the recall of each label that is gold."""

import numpy as np

from xdist.metrics import Metric, register


def rows(predictions, gold, given):
    """Per example and label whether it was rightly predicted, and gold."""
    counts = np.zeros((len(gold), 2, len(given.labels)))
    for row, predicted, true in zip(counts, map(given.labels.index, predictions), map(given.labels.index, gold), strict=True):
        row[0, true], row[1, true] = predicted == true, 1
    return counts.reshape(len(gold), -1)


def score(sums):
    right, true = np.moveaxis(sums.reshape(len(sums), 2, -1), 1, 0)
    recall = np.divide(right, true, out=np.zeros_like(right), where=true > 0)
    return {"balanced_accuracy": recall.sum(axis=1) / (true > 0).sum(axis=1)}


register(Metric(name="balanced-accuracy", families=("classification",), numbers=("balanced_accuracy",), rows=rows, score=score))
