"""Searches that the ranks make together."""

from typing import Any

import torch

from xdist.evaluation.search import search_candidates
from xdist.run import distributed


def found(queries: int, candidates: int, width: int, k: int, empty_rank: bool = False) -> dict[str, Any]:
    """The hits for all queries, by query. Queries and candidates are dealt out unevenly; with `empty_rank` rank 0 has none."""
    draw = torch.Generator().manual_seed(0)
    asked = torch.nn.functional.normalize(torch.randn(queries, width, generator=draw), dim=1)
    pool = torch.nn.functional.normalize(torch.randn(candidates, width, generator=draw), dim=1)
    pool[candidates // 2 :] = pool[: candidates - candidates // 2].clone()  # every candidate twice: ties across ranks
    rank, world = distributed.rank(), distributed.world()
    owner = torch.arange(max(queries, candidates)) % 3 % world
    if empty_rank:
        owner[:] = world - 1
    mine = torch.nonzero(owner[:queries] == rank).flatten()
    held = torch.nonzero(owner[:candidates] == rank).flatten()
    hits = search_candidates(asked[mine], pool[held], held, k)
    return {
        str(query): [numbers, scores]
        for query, numbers, scores in zip(mine.tolist(), hits.numbers.tolist(), hits.scores.tolist(), strict=True)
    }
