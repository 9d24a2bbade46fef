"""The share of examples that are wrong: less is better."""

from dataclasses import replace

from xdist.metrics import metric, register

accuracy = metric("accuracy")


def score(sums):
    return {"error_rate": 1 - accuracy.score(sums)["accuracy"]}


register(replace(accuracy, name="error-rate", numbers=("error_rate",), score=score, lower_is_better=True))
