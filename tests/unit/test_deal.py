"""Rows dealt to ranks: each once, equal passes, balanced tokens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdist.data.deal import Micro, deal, deal_to_rank, most_groups, split_by_budget
from xdist.data.deal import deal_rows as all_hands

hands = given(st.lists(st.integers(1, 512), max_size=60), st.integers(1, 8), st.integers(16, 2048))


@hands
@settings(deadline=None)
def test_every_row_once_in_equally_many_passes(tokens: list[int], world: int, budget: int) -> None:
    ranks = deal(np.array(tokens, np.int64), world, budget)
    assert len(ranks) == world
    assert len({len(micros) for micros in ranks}) == 1
    rows = [row for micros in ranks for micro in micros if not micro.dummy for row in micro.rows]
    assert sorted(rows) == list(range(len(tokens)))


@hands
@settings(deadline=None)
def test_the_padded_size_keeps_to_the_budget(tokens: list[int], world: int, budget: int) -> None:
    for micros in deal(np.array(tokens, np.int64), world, budget):
        for micro in micros:
            assert micro.rows
            assert len(micro.rows) == 1 or max(tokens[row] for row in micro.rows) * len(micro.rows) <= budget


@hands
@settings(deadline=None)
def test_ranks_differ_by_at_most_the_longest_row(tokens: list[int], world: int, budget: int) -> None:
    ranks = deal(np.array(tokens, np.int64), world, budget)
    loads = [sum(tokens[row] for micro in micros if not micro.dummy for row in micro.rows) for micros in ranks]
    assert max(loads) - min(loads) <= max(tokens, default=0)


@hands
@settings(deadline=None)
def test_dummies_only_on_ranks_whose_rows_already_stand_alone(tokens: list[int], world: int, budget: int) -> None:
    ranks = deal(np.array(tokens, np.int64), world, budget)
    for micros in ranks:
        dummies = [micro for micro in micros if micro.dummy]
        if dummies:
            assert all(len(micro.rows) == 1 for micro in micros)
            assert {tokens[row] for micro in dummies for row in micro.rows} == {min(tokens)}
    # No rank makes more passes than the one that needs most.
    needed = []
    for micros in ranks:
        own = [row for micro in micros if not micro.dummy for row in micro.rows]
        longest_first = sorted(own, key=lambda row: -tokens[row])
        needed.append(len(split_by_budget(longest_first, np.array(tokens), budget)))
    assert len(ranks[0]) == max(needed)


@hands
@settings(deadline=None)
def test_the_same_rows_are_dealt_the_same_way(tokens: list[int], world: int, budget: int) -> None:
    assert deal(np.array(tokens, np.int64), world, budget) == deal(np.array(tokens, np.int64), world, budget)


@pytest.mark.parametrize("world", [2, 64, 100])
@pytest.mark.parametrize("packed", [True, False])
def test_of_many_rows_each_comes_once_and_ranks_are_alike(world: int, packed: bool) -> None:
    """They are dealt by rounds, and still evenly; what was dealt before counts on."""
    draw = np.random.default_rng(world)
    tokens, loads = draw.integers(1, 300, 8192), draw.integers(0, 300, world)
    before = int(loads.sum())
    ranks = [deal_to_rank(rank, tokens, world, 4096, packed, loads.copy()) for rank in range(world)]
    assert len({len(micros) for micros in ranks}) == 1
    assert sorted(row for micros in ranks for micro in micros if not micro.dummy for row in micro.rows) == list(range(8192))
    for micros in ranks:
        for micro in micros:
            size = tokens[list(micro.rows)]
            assert (size.sum() if packed else size.max() * len(size)) <= 4096
    all_hands(tokens, loads)
    assert loads.sum() == before + tokens.sum()
    assert (loads.max() - loads.min()) / loads.mean() < 0.02
    needed = [
        len(split_by_budget([row for row in hand if row >= 0], tokens, 4096, packed))
        for hand in all_hands(tokens, loads)[0].tolist()
    ]
    assert most_groups(all_hands(tokens, loads)[1], 4096, packed) == max(needed)


@pytest.mark.parametrize(
    "tokens, world, budget, expected",
    [
        ([4, 4, 4, 4], 2, 8, [[Micro((0, 2))], [Micro((1, 3))]]),
        ([100, 4, 4], 1, 16, [[Micro((0,)), Micro((1, 2))]]),
        # The second rank splits its one group to make as many passes as the first.
        ([10, 6, 5, 1], 2, 12, [[Micro((0,)), Micro((3,))], [Micro((1,)), Micro((2,))]]),
        ([7], 2, 16, [[Micro((0,))], [Micro((0,), dummy=True)]]),
        ([], 2, 16, [[], []]),
    ],
)
def test_by_hand(tokens: list[int], world: int, budget: int, expected: list[list[Micro]]) -> None:
    assert deal(np.array(tokens, np.int64), world, budget) == expected
