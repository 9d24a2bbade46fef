"""The plan: pure, in exact proportion, and every row of a source once per epoch."""

import inspect
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdist.data.permutation import WINDOW
from xdist.data.plan import CYCLE, Draws, Plan, interleave, quotas, shares_of
from xdist.errors import UserError

SIZES, SHARES = [50, 7, 300], [2.0, 1.0, 5.0]


def drawn(plan: Plan, steps: int) -> list[tuple[int, int, int]]:
    """(source, row, epoch) of each draw of the first steps."""
    return [draw for number in range(steps) for draw in listed(plan.step(number))]


def listed(draws: Draws) -> list[tuple[int, int, int]]:
    return list(zip(draws.source.tolist(), draws.row.tolist(), draws.epoch.tolist(), strict=True))


def test_a_step_depends_on_nothing_before_it() -> None:
    forward, backward = Plan(SIZES, SHARES, 16, 1), Plan(SIZES, SHARES, 16, 1)
    steps = [listed(forward.step(number)) for number in range(40)]
    assert [listed(backward.step(number)) for number in reversed(range(40))] == steps[::-1]
    assert [listed(forward.step(number)) for number in range(40)] == steps


def test_world_size_and_micro_batches_cannot_enter() -> None:
    assert list(inspect.signature(Plan).parameters) == ["sizes", "shares", "batch_size", "seed", "later", "blocks"]
    assert list(inspect.signature(Plan.step).parameters) == ["self", "number"]


@pytest.mark.parametrize("batch_size", [1, 7, 96])
def test_batch_size_does_not_change_the_draws(batch_size: int) -> None:
    expected = drawn(Plan(SIZES, SHARES, 16, 1), 42)
    assert drawn(Plan(SIZES, SHARES, batch_size, 1), 672 // batch_size) == expected[: 672 // batch_size * batch_size]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.data())
@settings(max_examples=20, deadline=None)
def test_every_row_once_before_any_comes_again(sizes: list[int], data: st.DataObject) -> None:
    shares = data.draw(st.lists(st.floats(0.05, 1), min_size=len(sizes), max_size=len(sizes)))
    check_epochs(drawn(Plan(sizes, shares, 64, data.draw(st.integers(0, 1000))), 8), sizes)


def test_a_new_cycle_of_the_mixture_goes_on_with_the_epoch() -> None:
    sizes = [700, 7000]
    check_epochs(drawn(Plan(sizes, [1, 3], CYCLE // 2, 1), 5), sizes)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=3), st.integers(1, 9), st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_in_blocks_too_every_row_comes_once_and_a_step_is_its_own(sizes: list[int], block: int, seed: int) -> None:
    def made(batch: int) -> Plan:
        return Plan(sizes, [1] * len(sizes), batch, seed, blocks=[block] * len(sizes))

    draws = drawn(made(250), 12)
    check_epochs(draws, sizes)
    assert draws[6 * 250 :][:250] == listed(made(250).step(6)), "nothing that happened before matters"
    assert drawn(made(100), 30) == draws, "nor how many are drawn in a step"
    if block == 1:
        assert draws == drawn(Plan(sizes, [1] * len(sizes), 250, seed), 12)


def test_rows_that_lie_together_are_drawn_near_each_other_and_mixed() -> None:
    size, block = 4 * WINDOW * 8, 8
    order = [row for _, row, _ in drawn(Plan([size], [1], size, 1, blocks=[block]), 1)]
    room = WINDOW * block
    for low in range(0, size, room):
        window = order[low : low + room]
        assert len({row // block for row in window}) == WINDOW, "whole blocks"
        assert [row // block for row in window] != sorted(row // block for row in window)
        beside = sum(after - before == 1 for before, after in pairwise(window))
        assert beside < 10, "a block's rows do not follow one another"
    blocks = [sorted({row // block for row in order[low : low + room]}) for low in range(0, size, room)]
    assert all(max(held) - min(held) > 3 * WINDOW for held in blocks), "a window's blocks come from everywhere"


def check_epochs(draws: list[tuple[int, int, int]], sizes: list[int]) -> None:
    for source, size in enumerate(sizes):
        rows = [(row, epoch) for from_source, row, epoch in draws if from_source == source]
        for begin in range(0, len(rows), size):
            read = rows[begin : begin + size]
            assert {epoch for _, epoch in read} == {begin // size}
            assert len({row for row, _ in read}) == len(read)
            if len(read) == size:
                assert {row for row, _ in read} == set(range(size))


def test_epochs_and_seeds_have_their_own_order() -> None:
    orders = [[row for _, row, _ in drawn(Plan([100], [1], 100, seed), 2)] for seed in (1, 2)]
    assert orders[0][:100] != orders[0][100:]
    assert orders[0] != orders[1]
    assert orders[0][:100] != list(range(100))


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=40))
@settings(max_examples=15, deadline=None)
def test_any_window_holds_each_source_in_proportion(shares: list[float]) -> None:
    """After n draws each source is less than one row off its share of n, so a window is less than two rows off."""
    source, rank = interleave(counts := tuple(quotas(shares, CYCLE).tolist()))
    for number, quota in enumerate(counts):
        so_far = np.cumsum(source == number)
        assert np.abs(so_far - quota / CYCLE * np.arange(1, CYCLE + 1)).max() < 1
        assert np.array_equal(rank[source == number], np.arange(quota))


def test_equal_sources_beside_a_large_one_do_not_come_in_a_clump() -> None:
    plan = Plan([1000] * 50, [49.0] + [1.0] * 49, 32, 1)
    large = [int((plan.step(number).source == 0).sum()) for number in range(60)]
    assert min(large) > 14
    assert max(large) < 18


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50))
@settings(deadline=None)
def test_quotas_are_exact_but_for_what_the_smallest_need(shares: list[float]) -> None:
    found = quotas(shares, CYCLE)
    assert found.sum() == CYCLE
    assert found.min() >= 1
    exact = np.array(shares) / sum(shares) * CYCLE
    assert np.abs(found - exact).max() <= 1 + (exact < 1).sum()


def test_shares_by_size_weight_and_alpha() -> None:
    sizes, task_of = [100, 300, 50], [0, 0, 1]
    assert shares_of(sizes, task_of, [None, None], 1.0) == pytest.approx([100, 300, 50])
    assert shares_of(sizes, task_of, [3.0, 1.0], 1.0) == pytest.approx([0.75, 2.25, 1])
    assert shares_of(sizes, task_of, [3.0, 1.0], 0.0) == pytest.approx([1.5, 1.5, 1])
    root = 3**0.5
    assert shares_of(sizes, task_of, [None, None], 0.5) == pytest.approx([400 / (1 + root), 400 * root / (1 + root), 50])


def test_tasks_by_capped_size_and_exponent() -> None:
    sizes, task_of, none = [100, 300, 50], [0, 0, 1], [None, None]
    assert shares_of(sizes, task_of, none, 1.0, 0.0) == pytest.approx([0.25, 0.75, 1])
    assert shares_of(sizes, task_of, none, 1.0, 0.5) == pytest.approx([5, 15, 50**0.5])
    assert shares_of(sizes, task_of, none, 1.0, 1.0, 200) == pytest.approx([50, 150, 50])
    assert shares_of(sizes, task_of, [2.0, None], 0.0, 1.0, 10) == pytest.approx([1, 1, 10])


LATER = [(7, [0.0, 1.0, 1.0]), (20, [3.0, 1.0, 0.0])]


def test_a_schedule_goes_on_with_every_epoch() -> None:
    plan = Plan(SIZES, SHARES, 16, 1, LATER)
    draws = drawn(plan, 40)
    check_epochs(draws, SIZES)
    assert draws[: 7 * 16] == drawn(Plan(SIZES, SHARES, 16, 1), 7)
    sources = np.array([source for source, _, _ in draws])
    assert np.bincount(sources[7 * 16 : 20 * 16], minlength=3).tolist() == [0, 104, 104]
    assert np.bincount(sources[20 * 16 :], minlength=3).tolist() == [240, 80, 0]
    for step in (0, 1, 7, 8, 19, 20, 21, 40):
        assert plan.rows_drawn(step).tolist() == np.bincount(sources[: step * 16], minlength=3).tolist()
    again = Plan(SIZES, SHARES, 16, 1, LATER)
    assert [listed(again.step(number)) for number in (39, 20, 7, 3)] == [draws[n * 16 : (n + 1) * 16] for n in (39, 20, 7, 3)]


def test_a_source_may_rest() -> None:
    assert quotas([0.0, 1.0, 3.0], CYCLE).tolist() == [0, CYCLE // 4, 3 * CYCLE // 4]


@pytest.mark.parametrize("sizes", [[], [3, 0]])
def test_nothing_to_draw_from(sizes: list[int]) -> None:
    with pytest.raises(UserError, match="empty"):
        Plan(sizes, [1.0] * len(sizes), 4, 1)
