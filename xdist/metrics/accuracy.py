"""Accuracy: XNLI, PAWS-X, XCOPA, Tatoeba (google-research/xtreme, evaluate.py: `read_label`, `accuracy`); tags of words."""

from collections.abc import Sequence

import numpy as np

from xdist.metrics.counts import Array, CountRows, Sums, ratio
from xdist.metrics.definition import Given, Metric, register

Predicted = str | int | Sequence[str]


def rows(predictions: Sequence[Predicted], gold: Sequence[Predicted], given: Given) -> CountRows:
    """Per example how many of its answers are right, and how many it has: one, or the tags of a sentence. Answers are right
    where both are the same text once stripped (numbers compare as text). Raises ValueError when the lengths differ."""
    if len(predictions) != len(gold):
        raise ValueError(f"{len(predictions)} predictions for {len(gold)} examples")
    found = np.zeros((len(gold), 2))
    for number, (prediction, answer) in enumerate(zip(predictions, gold, strict=True)):
        predicted, wanted = answers_of(prediction), answers_of(answer)
        if len(predicted) != len(wanted):
            raise ValueError(f"example {number + 1}: {len(predicted)} predicted for {len(wanted)}")
        right = sum(str(one).strip() == str(other).strip() for one, other in zip(predicted, wanted, strict=True))
        found[number] = right, len(wanted)
    return found


def score(sums: Sums) -> dict[str, Array]:
    return {"accuracy": ratio(sums[:, 0], sums[:, 1])}


def answers_of(answer: Predicted) -> Sequence[Predicted]:
    """The answers of an example: one, or the tags of a sentence."""
    return answer if isinstance(answer, list | tuple) else [answer]


ACCURACY = register(
    Metric(
        name="accuracy",
        about="share of the examples, or of the words of all sentences, that are labelled right",
        families=("classification", "multiple-choice", "sentence-retrieval", "tagging"),
        numbers=("accuracy",),
        rows=rows,
        score=score,
    )
)
