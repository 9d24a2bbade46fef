"""Metrics: the official ones, exact, and those of users.

Ours register themselves by the same call as those of plugins; what is imported here is the list of them.
"""

from xdist.metrics import accuracy, bitext, labels, mining, ndcg, qa, retrieval, spans
from xdist.metrics.definition import METRICS, Given, Metric, metric, missing_metric, register

__all__ = ["METRICS", "Given", "Metric", "accuracy", "bitext", "labels", "metric", "mining", "missing_metric", "ndcg", "qa"]
__all__ += ["register", "retrieval", "spans"]
