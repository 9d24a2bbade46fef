"""Exact search by inner product: the k best candidates of each query, the candidates spread over the ranks.

Which candidates are the best is decided by one rule that knows no blocks and no ranks: the inner product summed in float64
and rounded to float32, then the smaller candidate number. A float32 matrix product, whose last bits do depend on block shapes,
only proposes who can be among them. So 1 and 64 ranks find the same, in the same order.

Memory is a block of queries times a block of candidates, plus queries times k; never queries times candidates.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from xdist.run import distributed

QUERY_BLOCK = 1024
CANDIDATE_BLOCK = 8192
# Numbers multiplied at a time when proposed pairs are summed again: few enough to stay in a processor's cache.
PAIR_BLOCK = 1 << 18
UNIT_ROUNDOFF = 2.0**-24  # of float32


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest candidates of n queries, best first: inner products (n, k) float32, candidate numbers (n, k) int64. Where
    there are fewer than k candidates the rest is -inf and -1."""

    scores: Tensor
    numbers: Tensor

    def __len__(self) -> int:
        return len(self.numbers)


def top_k(queries: Tensor, candidates: Tensor, numbers: Tensor, k: int) -> Hits:
    """The `k` best of `candidates` (m, d), which are called `numbers` (m,), for each of `queries` (n, d); all float32 of
    about unit length. Works where `queries` are and copies the candidates there block by block."""
    parts = []
    for low in range(0, len(queries), QUERY_BLOCK):
        block = queries[low : low + QUERY_BLOCK]
        best = _no_hits(len(block), k, block.device)
        for start in range(0, len(candidates), CANDIDATE_BLOCK):
            part = slice(start, start + CANDIDATE_BLOCK)
            best = _block(block, candidates[part].to(block.device), numbers[part].to(block.device), best)
        parts.append(best)
    if not parts:
        return _no_hits(0, k, queries.device)
    return Hits(torch.cat([part.scores for part in parts]), torch.cat([part.numbers for part in parts]))


def merge_hits(parts: list[Hits]) -> Hits:
    """The best of what several sets of candidates gave for the same queries."""
    k = parts[0].scores.shape[1]
    scores, numbers = torch.cat([part.scores for part in parts], 1), torch.cat([part.numbers for part in parts], 1)
    order = torch.argsort(numbers, dim=1, stable=True)
    order = order.gather(1, torch.argsort(-scores.gather(1, order), dim=1, stable=True))[:, :k]
    return Hits(scores.gather(1, order), numbers.gather(1, order))


def search_candidates(queries: Tensor, candidates: Tensor, numbers: Tensor, k: int) -> Hits:
    """The `k` best of all ranks' candidates for this rank's `queries`; arguments as in `top_k`. Collective.

    Every rank's queries come by in blocks; each rank searches its own candidates, and the owner of the block merges. Vectors
    of candidates never leave their rank.
    """
    device, rank = distributed.device(), distributed.rank()
    counts = distributed.every(len(queries))
    found: list[Hits] = []
    for owner, count in enumerate(counts):
        for low in range(0, count, QUERY_BLOCK):
            high = min(low + QUERY_BLOCK, count)
            own = rank == owner
            block = queries[low:high].to(device) if own else torch.empty(high - low, queries.shape[1], device=device)
            distributed.broadcast(block, owner)
            hits = top_k(block, candidates, numbers, k)
            scores, places = distributed.gather(hits.scores, owner), distributed.gather(hits.numbers, owner)
            if scores is not None and places is not None:
                best = merge_hits([Hits(*part) for part in zip(scores, places, strict=True)])
                found.append(Hits(best.scores.cpu(), best.numbers.cpu()))
    if not found:
        return _no_hits(0, k, torch.device("cpu"))
    return Hits(torch.cat([part.scores for part in found]), torch.cat([part.numbers for part in found]))


def rounding_bound(width: int) -> float:
    """The most by which a float32 inner product of vectors of `width` numbers and about unit length differs from the exact one
    rounded to float32, for any order of its sum: n u sum |x y| (Higham, Accuracy and Stability of Numerical Algorithms,
    3.1), with u for rounding the exact one and 2 u for the comparison, and one per cent for "about" and second order terms."""
    return 1.01 * (width + 3) * UNIT_ROUNDOFF


def _no_hits(queries: int, k: int, device: torch.device) -> Hits:
    return Hits(
        torch.full((queries, k), -torch.inf, device=device),
        torch.full((queries, k), -1, dtype=torch.int64, device=device),
    )


def _block(queries: Tensor, candidates: Tensor, numbers: Tensor, best: Hits) -> Hits:
    """`best` after one more block of candidates."""
    k = best.scores.shape[1]
    off = rounding_bound(queries.shape[1])
    rough = queries @ candidates.T
    enough = best.scores[:, -1:]
    if len(candidates) > k:
        enough = torch.maximum(enough, rough.topk(k, dim=1).values[:, -1:])
    # Twice: the k-th best and the candidate may each be off, one to either side.
    query, candidate = torch.nonzero(rough >= enough - 2 * off, as_tuple=True)
    exact = _products(queries, query, candidates, candidate)
    # Ranked among the candidates of the same query: by score, then by number. Nothing is brought to the CPU for it.
    order = torch.argsort(numbers[candidate], stable=True)
    order = order[torch.argsort(-exact[order], stable=True)]
    order = order[torch.argsort(query[order], stable=True)]
    query, candidate, exact = query[order], candidate[order], exact[order]
    # `query` is sorted: a candidate's rank is its place less that of the first candidate of its query.
    first = torch.searchsorted(query, torch.arange(len(queries), device=query.device))
    place = torch.arange(len(query), device=query.device) - first[query]
    kept = place < k
    found = _no_hits(len(queries), k, queries.device)
    found.scores[query[kept], place[kept]] = exact[kept]
    found.numbers[query[kept], place[kept]] = numbers[candidate[kept]]
    return merge_hits([best, found])


def _products(queries: Tensor, query: Tensor, candidates: Tensor, candidate: Tensor) -> Tensor:
    """The inner product of each pair of rows, summed in float64 in an order that only the width decides."""
    size = max(1, PAIR_BLOCK // queries.shape[1])
    parts = [
        _sums(queries.index_select(0, left).double().mul_(candidates.index_select(0, right))).float()
        for left, right in zip(query.split(size), candidate.split(size), strict=True)
    ]
    return torch.cat(parts)


def _sums(values: Tensor) -> Tensor:
    """The sum of each row, the right half added to the left until one number is left. `Tensor.sum` orders its sum as suits
    shape, threads and device."""
    while (width := values.shape[1]) > 1:
        half = width // 2
        added = values[:, :half] + values[:, width - half :]
        values = torch.cat([added, values[:, half : width - half]], 1) if width % 2 else added
    return values[:, 0]
