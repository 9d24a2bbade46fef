"""Metrics: the official ones, exact, and those of one's own.

Ours register themselves by the same call as anybody's; what is imported here is the list of them.
"""

from xdist.metrics import accuracy, bitext, labels, mining, ndcg, qa, retrieval, spans
from xdist.metrics.definition import METRICS, Given, Metric, metric, missing, register

__all__ = ["METRICS", "Given", "Metric", "accuracy", "bitext", "labels", "metric", "mining", "missing", "ndcg", "qa"]
__all__ += ["register", "retrieval", "spans"]
