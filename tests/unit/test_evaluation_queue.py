"""The queue of an evaluation: every row once, the same batches on any number of ranks, something to do for all of them."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdist.config.runtime import Runtime
from xdist.evaluation.queue import MIN_TOKENS, batch_queue, budget_of, rank_share


@dataclass
class Set:
    tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)


sets_of_rows = st.lists(st.lists(st.integers(2, 512), min_size=1, max_size=40), min_size=1, max_size=5)


@given(sets_of_rows, st.integers(16, 5000), st.integers(1, 5))
def test_every_row_once_within_the_budget(lengths: list[list[int]], budget: int, world: int) -> None:
    sets = [Set(np.array(one)) for one in lengths]
    work = batch_queue(sets, budget)  # type: ignore[arg-type]
    rows = [row for item in work for row in item.rows]
    assert sorted(rows) == [(number, row) for number, one in enumerate(lengths) for row in range(len(one))]
    for item in work:
        assert item.cost <= budget or len(item.rows) == 1
    dealt = [item for rank in range(world) for item in rank_share(work, rank, world)]
    assert sorted(item.rows for item in dealt) == sorted(item.rows for item in work)


def test_a_small_set_is_cut_so_that_ranks_share_it() -> None:
    work = batch_queue([Set(np.full(100, 40))], 16384)  # type: ignore[arg-type]
    loads = [sum(item.cost for item in rank_share(work, rank, 2)) for rank in range(2)]
    assert max(loads) / min(loads) < 1.1
    assert max(item.cost for item in work) <= MIN_TOKENS


def test_a_run_says_its_budget_or_the_device_does() -> None:
    assert budget_of(Runtime(eval_batch_tokens=300), "cpu") == 300
    assert budget_of(Runtime(), "cuda") > budget_of(Runtime(), "cpu")


@pytest.mark.parametrize("world", [1, 3])
def test_in_lockstep_all_ranks_make_equally_many_passes(world: int) -> None:
    work = batch_queue([Set(np.arange(5, 60))], 300)  # type: ignore[arg-type]
    assert len({len(rank_share(work, rank, world, lockstep=True)) for rank in range(world)}) == 1
