"""Ranked retrieval: mAP@20 (LAReQA), MRR@20 (Mewsli-X, where one candidate is right), accuracy of the first hit.

Sources: google-research/xtreme, evaluate.py (`map@20`) and third_party/utils_mewslix.py.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from xdist.metrics.counts import Array, CountRows, Sums, ratio
from xdist.metrics.definition import Given, Metric, register

K = 20
HITS = 10


def average_precision(ranking: Sequence[str], relevant: Collection[str], k: int = K) -> float:
    """AP@k: the precision at each rank up to `k` that adds a new relevant item, summed, over min(relevant, k). With
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


def rows(rankings: Mapping[str, Sequence[str]], gold: Mapping[str, Collection[str]], given: Given) -> CountRows:
    """AP@20 and 1 per query of `gold` (id to relevant ids), in its order; `rankings` are best first. Shape [n, 2], 0 to 1.
    A query without ranking scores 0; rankings of other ids are ignored."""
    found = [(average_precision(rankings.get(id, ()), relevant), 1.0) for id, relevant in gold.items()]
    return np.array(found, dtype=np.float64).reshape(-1, 2)


def hits(rankings: Mapping[str, Sequence[str]], gold: Mapping[str, Collection[str]], given: Given) -> CountRows:
    """Whether something relevant is ranked first, whether it is among the first 10, and 1, per query of `gold`; [n, 3]."""
    found = [
        (*(any(item in relevant for item in rankings.get(id, ())[:k]) for k in (1, HITS)), 1.0) for id, relevant in gold.items()
    ]
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def first_hit(rankings: Mapping[str, Sequence[str]], gold: Mapping[str, Collection[str]]) -> CountRows:
    """1 where the first item ranked is relevant, else 0, per query of `gold`. Shape [n]."""
    hits = (bool(rankings.get(id)) and rankings[id][0] in relevant for id, relevant in gold.items())
    return np.array(list(hits), dtype=np.float64)


def score(sums: Sums) -> dict[str, Array]:
    return {f"map@{K}": ratio(sums[:, 0], sums[:, 1])}


MAP = register(
    Metric(
        name=f"map@{K}",
        about=f"mean over queries of the average precision of the first {K} found; with one right candidate MRR@{K}",
        families=("dual-encoder",),
        numbers=(f"map@{K}",),
        rows=rows,
        score=score,
    )
)
HIT = register(
    Metric(
        name=f"hit@{HITS}",
        about=f"share of the queries that have something right among the first {HITS} found; also of the first one",
        families=("dual-encoder",),
        numbers=(f"hit@{HITS}", "hit@1"),
        rows=hits,
        score=lambda sums: {f"hit@{HITS}": ratio(sums[:, 1], sums[:, 2]), "hit@1": ratio(sums[:, 0], sums[:, 2])},
    )
)
