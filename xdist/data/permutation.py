"""A random order of n rows of which any part can be computed at once, without drawing the rest.

A Feistel network over the smallest even number of bits that holds n, walked along its cycles until it lands below n (Black
and Rogaway 2002, "Ciphers with arbitrary finite domains"). Memory does not grow with n, and position 10^8 costs what 0 does.
"""

from functools import cached_property
from typing import Protocol

import numpy as np

ROUNDS = 6
# uint64 wraps around: all sums and products here are meant modulo 2^64. 0x9E3779B97F4A7C15 is 2^64 divided by the golden ratio,
# SplitMix64's step, by which consecutive numbers come far apart.
WHOLE = 18  # bits of a row's number, up to which a complete order is kept: at most 2 MB
TABLED = 14  # bits of half a number, up to which rounds are looked up: at most 6 x 128 KB
ALL = (1 << 64) - 1


def mix(values: np.ndarray) -> np.ndarray:
    """A bijection of uint64 that leaves no visible pattern (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def key_of(*parts: int) -> int:
    """One 64-bit key from several integers, such as (seed, source, epoch)."""
    key = 0x9E3779B97F4A7C15
    for part in parts:
        key = (key + (part & ALL) + 0x9E3779B97F4A7C15) & ALL
        # As `mix`, of one number: numpy takes ten times as long for it.
        key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & ALL
        key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & ALL
        key ^= key >> 31
    return key


WINDOW = 256  # blocks whose rows are mixed with each other


class Order(Protocol):
    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """The rows at `positions` (n,) int64, each in 0..size-1."""


class Permutation:
    """The random order `key` of `size` rows. What is kept, once it was requested: up to 2^WHOLE rows all of it, up to
    2^(2 * TABLED) what each round makes of every right half, so that a round is a look-up; beyond, nothing."""

    def __init__(self, size: int, key: int) -> None:
        self.size = size
        self._half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)  # half the bits of the largest row, rounded up
        self._low = (1 << self._half) - 1
        self._keys = [np.uint64(key_of(key, number)) for number in range(ROUNDS)]

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        if 2 * self._half <= WHOLE:
            rows: np.ndarray = self._whole[positions].astype(np.int64)
            return rows
        values = self._once(positions)
        # Numbers that are no rows are put through again, until they are: each comes to another row.
        while len(outside := np.flatnonzero(values >= self.size)):
            values[outside] = self._once(values[outside])
        return values

    @cached_property
    def _whole(self) -> np.ndarray:
        """(size,) the row at every position."""
        every = self._every_byte() if self._half == 8 else self._once(np.arange(1 << 2 * self._half))
        values = every[: self.size].copy()
        outside = np.flatnonzero(values >= self.size)
        while len(outside):
            values[outside] = every[values[outside]]
            outside = outside[values[outside] >= self.size]
        return values

    def _every_byte(self) -> np.ndarray:
        """`_once` of all numbers of 16 bits. Their halves are bytes, which `translate` looks up as they are."""
        byte = np.arange(256, dtype=np.uint8)
        left, right = np.repeat(byte, 256), np.tile(byte, 256)
        for table in self._tables:
            looked_up = right.tobytes().translate(table.astype(np.uint8).tobytes())
            left ^= np.frombuffer(looked_up, np.uint8)
            left, right = right, left
        return left.astype(np.uint16) << np.uint16(8) | right

    @cached_property
    def _tables(self) -> list[np.ndarray]:
        every = np.arange(self._low + 1)
        return [_mix_with_key(every, key) & self._low for key in self._keys] if self._half <= TABLED else []

    def _once(self, values: np.ndarray) -> np.ndarray:
        # Feistel's rounds: the left half is mixed with a function of the right one, then the halves change places.
        left, right, tables = values >> self._half, values & self._low, self._tables
        for number, key in enumerate(self._keys):
            left ^= tables[number][right] if tables else _mix_with_key(right, key) & self._low
            left, right = right, left
        left <<= self._half
        left |= right
        return left


class InBlocks:
    """An order in which rows that lie together come near each other: blocks of `block` rows in random order, and the rows of
    `WINDOW` blocks after one another mixed. The rest after the last complete block is mixed into the last window."""

    def __init__(self, size: int, key: int, block: int) -> None:
        self.size, self._key, self._block = size, key, block
        self._blocks = Permutation(size // block, key)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        whole, room = self.size // self._block, WINDOW * self._block
        windows, inside = np.divmod(positions, room)
        rows = np.empty_like(positions)
        for window in np.unique(windows).tolist():
            here = windows == window
            of_window = Permutation(min(room, self.size - window * room), key_of(self._key, window))
            number, place = np.divmod(of_window(inside[here]), self._block)
            number += window * WINDOW
            is_whole = number < whole
            number[is_whole] = self._blocks(number[is_whole])
            rows[here] = number * self._block + place
        return rows


def permute(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """The rows at `positions` (int64, each in 0..size-1) of the random order `key` of `size` rows."""
    return Permutation(size, key)(positions)


def _mix_with_key(values: np.ndarray, key: np.uint64) -> np.ndarray:
    """`mix` of `values` + `key`, as int64, with memory for two copies of `values` alone."""
    mixed = values.astype(np.uint64)
    mixed += key
    part = np.empty_like(mixed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        np.right_shift(mixed, np.uint64(shift), out=part)
        mixed ^= part
        if factor != 1:
            mixed *= np.uint64(factor)
    return mixed.view(np.int64)
