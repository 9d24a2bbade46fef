"""Ranked retrieval: mAP@20 (LAReQA), MRR@20 (Mewsli-X, where one candidate is right), accuracy of the first hit.

Sources: google-research/xtreme, evaluate.py (`map@20`) and third_party/utils_mewslix.py.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from xdist.metrics.counts import Rows, mean

K = 20


def average_precision(ranking: Sequence[str], relevant: Collection[str], k: int = K) -> float:
    """AP@k: the precision at each rank up to `k` that brings a new relevant item, summed, over min(relevant, k). With
    one relevant item it is 1/rank, or 0 beyond rank k. Raises ValueError when nothing is relevant."""
    wanted = set(relevant)
    if not wanted:
        raise ValueError("average precision of a query without relevant items")
    total, hits = 0.0, 0
    open_items = set(wanted)
    for rank, item in enumerate(ranking[:k], start=1):
        if item in open_items:
            open_items.remove(item)
            hits += 1
            total += hits / rank
    return total / min(len(wanted), k)


def per_example(rankings: Mapping[str, Sequence[str]], gold: Mapping[str, Collection[str]], k: int = K) -> Rows:
    """AP@k per query of `gold` (id to relevant ids), in its order; `rankings` are best first. Shape [n], 0 to 1.
    A query without ranking scores 0; rankings of other ids are ignored."""
    return np.array([average_precision(rankings.get(id, ()), relevant, k) for id, relevant in gold.items()])


def first_hit(rankings: Mapping[str, Sequence[str]], gold: Mapping[str, Collection[str]]) -> Rows:
    """1 where the first item ranked is relevant, else 0, per query of `gold`. Shape [n]."""
    hits = (bool(rankings.get(id)) and rankings[id][0] in relevant for id, relevant in gold.items())
    return np.array(list(hits), dtype=np.float64)


def score(rows: Rows) -> dict[str, float]:
    """{"map@20": 0 to 100} of rows [n]; with one relevant item per query this is MRR@20."""
    return {f"map@{K}": mean(rows)}
