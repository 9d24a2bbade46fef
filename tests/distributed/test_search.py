"""Candidates spread over ranks: the ranks together find, to the bit, what one rank finds alone."""

import pytest
from distributed.group import Group


@pytest.mark.parametrize("size", [(2500, 20_000, 48, 20), (7, 11, 8, 20), (1, 1, 4, 3)])
@pytest.mark.parametrize("empty_rank", [False, True])
def test_search_does_not_depend_on_ranks(one: Group, two: Group, size: tuple[int, int, int, int], empty_rank: bool) -> None:
    arguments = dict(zip(("queries", "candidates", "width", "k"), size, strict=True))
    (alone,) = one.run("search_cases.found", **arguments)
    first, second = two.run("search_cases.found", **arguments, empty_rank=empty_rank)
    assert not set(first) & set(second)
    assert {**first, **second} == alone
    assert bool(first) == (not empty_rank)
