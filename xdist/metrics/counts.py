"""From rows of counts or fractions to scores; the one place where a score is multiplied by 100."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


def percent(fraction: float) -> float:
    """A fraction from 0 to 1 as a score from 0 to 100."""
    return 100.0 * float(fraction)


def mean(rows: Rows) -> float:
    """The mean of one number per example [n], as a score. Raises ValueError for no examples."""
    if len(rows) == 0:
        raise ValueError("no examples: nothing to score")
    return percent(rows.sum() / len(rows))


def precision_recall_f1(correct: float, predicted: float, gold: float) -> dict[str, float]:
    """Micro precision, recall and F1, as scores; 0/0 is 0 (seqeval 0.0.12; google-research/xtreme, `bucc_f1`)."""
    precision = correct / predicted if predicted else 0.0
    recall = correct / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"f1": percent(f1), "precision": percent(precision), "recall": percent(recall)}
