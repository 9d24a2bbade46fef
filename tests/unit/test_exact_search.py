"""Exact search against brute force: in blocks, in shards, with ties, and at 100,000 candidates."""

import math
from operator import mul

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xdist.evaluation import search
from xdist.evaluation.search import Hits, merge_hits, top_k


def unit(rows: int, width: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, width, generator=draw), dim=1)


def brute(queries: torch.Tensor, candidates: torch.Tensor, numbers: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """By the rule itself: float64 products rounded to float32, then the smaller number."""
    products = (queries.double() @ candidates.double().T).float().numpy()
    scores = np.full((len(queries), k), -np.inf, np.float32)
    found = np.full((len(queries), k), -1)
    for query, row in enumerate(products):
        order = np.lexsort((numbers.numpy(), -row))[:k]
        scores[query, : len(order)], found[query, : len(order)] = row[order], numbers.numpy()[order]
    return scores, found


def same(hits: Hits, expected: tuple[np.ndarray, np.ndarray]) -> bool:
    return np.array_equal(hits.scores.numpy(), expected[0]) and np.array_equal(hits.numbers.numpy(), expected[1])


@settings(deadline=None)
@given(
    st.integers(0, 9),
    st.integers(0, 30),
    st.integers(1, 7),
    st.integers(0, 1000),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_blocks_do_not_show(queries: int, candidates: int, k: int, seed: int, query_block: int, candidate_block: int) -> None:
    asked = unit(queries, 6, seed)
    # Few distinct vectors, so that many candidates are equally near.
    pool = unit(5, 6, seed + 1)[torch.randint(0, 5, (candidates,), generator=torch.Generator().manual_seed(seed))]
    numbers = torch.randperm(candidates, generator=torch.Generator().manual_seed(seed)) * 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "QUERY_BLOCK", query_block)
        patch.setattr(search, "CANDIDATE_BLOCK", candidate_block)
        assert same(top_k(asked, pool, numbers, k), brute(asked, pool, numbers, k))


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_do_not_show(shards: int) -> None:
    asked, pool, numbers = unit(40, 16, 0), unit(700, 16, 1), torch.arange(700)
    pool[500:] = pool[:200]
    parts = [top_k(asked, pool[shard::shards], numbers[shard::shards], 20) for shard in range(shards)]
    assert same(merge_hits(parts), brute(asked, pool, numbers, 20))


def test_fewer_candidates_than_asked_for() -> None:
    asked, pool = unit(3, 8, 0), unit(2, 8, 1)
    hits = top_k(asked, pool, torch.tensor([7, 4]), 5)
    assert (hits.numbers[:, 2:] == -1).all()
    assert torch.isneginf(hits.scores[:, 2:]).all()
    assert same(hits, brute(asked, pool, torch.tensor([7, 4]), 5))


def test_equally_near_candidates_come_by_number() -> None:
    asked = unit(2, 8, 0)
    pool = asked[:1].expand(3 * search.CANDIDATE_BLOCK // 2, 8)
    numbers = torch.arange(len(pool)).flip(0)
    assert top_k(asked, pool, numbers, 20).numbers.tolist() == [list(range(20))] * 2


def test_a_hundred_thousand_candidates() -> None:
    asked, pool, numbers = unit(64, 128, 0), unit(100_000, 128, 1), torch.arange(100_000)
    pool[::1000] = asked[0]  # a hundred are as near as can be
    hits = top_k(asked, pool, numbers, 20)
    assert same(hits, brute(asked, pool, numbers, 20))
    assert hits.numbers[0].tolist() == list(range(0, 20_000, 1000))


@pytest.mark.parametrize("width", [1, 7, 48, 768, 1024])
def test_sums_do_not_depend_on_the_rows_beside(width: int) -> None:
    asked, pool = unit(300, width, 0), unit(300, width, 1)
    rows = torch.arange(300)
    whole = search._products(asked, rows, pool, rows)
    assert torch.equal(whole, torch.cat([search._products(asked, row, pool, row) for row in rows.split(1)]))
    exact = [math.fsum(map(mul, left, right)) for left, right in zip(asked.tolist(), pool.tolist(), strict=True)]
    assert whole.tolist() == torch.tensor(exact, dtype=torch.float64).float().tolist()


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 1000), st.booleans())
@example(768, 0, True)  # off by 6e-6
def test_no_order_of_a_float32_sum_is_off_by_more_than_rounding(width: int, seed: int, alike: bool) -> None:
    """One number after another: the worst of the orders. Equal numbers round the same way again and again."""
    left = unit(1, width, seed)[0] if not alike else torch.full((width,), width**-0.5)
    right = left.roll(seed) * (1 if alike else torch.tensor([1.0, -1.0]).repeat(width)[:width])
    worst = np.float32(0)
    for product in (left * right).numpy():
        worst += product
    exact = math.fsum(map(mul, left.tolist(), right.tolist()))
    assert abs(float(worst) - exact) <= search.rounding_bound(width)


def test_a_search_brings_nothing_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """But how many candidates a query has to choose from, which decides on shapes."""
    queries, candidates = unit(5, 16, 1), unit(40, 16, 2)
    expected = top_k(queries, candidates, torch.arange(40), 3)
    for name in ("cpu", "numpy", "tolist", "item", "__float__", "__array__"):
        monkeypatch.setattr(torch.Tensor, name, None)
    found = top_k(queries, candidates, torch.arange(40), 3)
    monkeypatch.undo()
    assert torch.equal(found.numbers, expected.numbers)
