"""A random order of n rows, any part of which can be requested."""

import time
import tracemalloc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xdist.data.permutation import key_of, mix, permute

keys = st.integers(0, 2**64 - 1)


@given(st.integers(1, 5000), keys)
@settings(deadline=None)
def test_every_row_once(size: int, key: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(size), size, key)), np.arange(size))


@given(st.integers(1, 5000), keys, st.data())
@settings(deadline=None)
def test_a_part_is_the_part_of_the_whole(size: int, key: int, data: st.DataObject) -> None:
    positions = np.array(data.draw(st.lists(st.integers(0, size - 1), max_size=20)), np.int64)
    assert np.array_equal(permute(positions, size, key), permute(np.arange(size), size, key)[positions])


@given(st.integers(100, 5000), keys, keys)
@settings(deadline=None)
def test_other_keys_other_orders(size: int, first: int, second: int) -> None:
    orders = [permute(np.arange(size), size, key).tolist() for key in (first, second)]
    assert (orders[0] == orders[1]) == (first == second)


def test_each_row_is_as_likely_in_each_position() -> None:
    size, draws = 12, 1000
    counts = np.zeros((size, size))
    for number in range(draws):
        counts[np.arange(size), permute(np.arange(size), size, key_of(number))] += 1
    expected = draws / size
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 55 < chi_square < 215  # 121 degrees of freedom: 121, standard deviation 15.6


def test_rows_next_to_each_other_are_torn_apart() -> None:
    size = 4096
    order = permute(np.arange(size), size, key_of(3))
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.06  # four standard deviations
    assert abs(np.corrcoef(np.arange(size), order)[0, 1]) < 0.06


def test_a_thousand_million_rows_cost_nothing() -> None:
    size = 10**9
    positions = np.arange(size - 1000, size)
    begun = time.perf_counter()
    tracemalloc.start()
    rows = permute(positions, size, key_of(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert time.perf_counter() - begun < 1
    assert len(set(rows.tolist())) == 1000
    assert rows.min() >= 0
    assert rows.max() < size


def test_keys_depend_on_every_part_and_on_their_order() -> None:
    keys = {key_of(*parts) for parts in ((1, 2, 3), (3, 2, 1), (1, 2), (1, 2, 0), (1, 2, 3, 0), (-1, 2, 3), ())}
    assert len(keys) == 7


def test_mix_is_split_mix() -> None:
    """The first outputs of SplitMix64 from seed 1234567, as published with its reference implementation."""
    states = np.array([1234567 + (number + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF for number in range(3)], np.uint64)
    assert mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]
