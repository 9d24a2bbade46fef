"""What several metrics share: names for their arrays, and fractions of sums, each selection by itself."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
CountRows = NDArray[np.float64]
"""[n, columns]: what a metric counts, a row for each example or group of examples."""
Sums = NDArray[np.float64]
"""[..., columns]: rows summed over one or more selections."""


def ratio(part: ArrayLike, whole: ArrayLike) -> Array:
    """part / whole; 0/0 is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    quotient: Array = np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)
    return quotient


def precision_recall_f1(correct: ArrayLike, predicted: ArrayLike, gold: ArrayLike) -> dict[str, Array]:
    """Micro precision, recall and F1 (seqeval 0.0.12; google-research/xtreme, `bucc_f1`)."""
    precision, recall = ratio(correct, predicted), ratio(correct, gold)
    return {"f1": ratio(2 * precision * recall, precision + recall), "precision": precision, "recall": recall}
