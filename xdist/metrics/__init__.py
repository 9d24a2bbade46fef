"""Metrics: the official ones, exact, and those of one's own.

Ours register themselves by the same call as anybody's; what is imported here is the list of them.
"""

from xdist.metrics import accuracy, mining, qa, retrieval, spans
from xdist.metrics.definition import METRICS, Given, Metric, metric, missing, register

__all__ = ["METRICS", "Given", "Metric", "accuracy", "metric", "mining", "missing", "qa", "register"]
__all__ += ["retrieval", "spans"]
