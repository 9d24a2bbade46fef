"""A random order of n rows, any part of which can be requested."""

import time
import tracemalloc

import numpy as np
import pytest
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


@pytest.mark.parametrize("size", [1, 2, 255, 16_384, 16_385, 50_000, 65_536, 65_537, 262_144, 262_145, 10**9])
def test_orders_that_are_kept_and_looked_up_are_those_of_the_rounds(size: int) -> None:
    """Six rounds over halves of as many bits as the largest row needs, written out, one position at a time."""
    key, half = key_of(7), max(1, (max(size - 1, 1).bit_length() + 1) // 2)

    def through(number: int) -> int:
        left, right = number >> half, number & (1 << half) - 1
        for turn in range(6):
            state = np.array([(right + key_of(key, turn)) % 2**64], np.uint64)
            left, right = right, left ^ int(mix(state)[0]) & (1 << half) - 1
        row = left << half | right
        return row if row < size else through(row)

    positions = np.unique(np.linspace(0, size - 1, 60).astype(np.int64))
    assert permute(positions, size, key).tolist() == [through(position) for position in positions.tolist()]
