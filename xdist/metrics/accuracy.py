"""Accuracy: XNLI, PAWS-X, XCOPA, Tatoeba (google-research/xtreme, evaluate.py: `read_label`, `accuracy`)."""

from collections.abc import Sequence

import numpy as np

from xdist.metrics.counts import Rows, mean


def per_example(predictions: Sequence[str | int], gold: Sequence[str | int]) -> Rows:
    """1 where prediction and gold are the same text once stripped (numbers compare as text), else 0. Shape [n].
    Raises ValueError when the lengths differ."""
    if len(predictions) != len(gold):
        raise ValueError(f"{len(predictions)} predictions for {len(gold)} examples")
    pairs = zip(predictions, gold, strict=True)
    return np.array([str(prediction).strip() == str(label).strip() for prediction, label in pairs], dtype=np.float64)


def score(rows: Rows) -> dict[str, float]:
    """{"accuracy": 0 to 100} of rows [n]."""
    return {"accuracy": mean(rows)}
