"""A random order of n rows of which any part can be asked for at once, without drawing the rest.

A Feistel network over the smallest even number of bits that holds n, walked along its cycles until it lands below n (Black
and Rogaway 2002, "Ciphers with arbitrary finite domains"). Memory does not grow with n, and position 10^8 costs what 0 does.
"""

import numpy as np

ROUNDS = 6


def mix(values: np.ndarray) -> np.ndarray:
    """A bijection of uint64 that leaves no visible pattern (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def key_of(*parts: int) -> int:
    """One 64-bit key from several integers, such as (seed, source, epoch)."""
    key = np.array([0x9E3779B97F4A7C15], np.uint64)
    for part in parts:
        key = mix(key + np.uint64(part & 0xFFFFFFFFFFFFFFFF) + np.uint64(0x9E3779B97F4A7C15))
    return int(key[0])


WINDOW = 256  # blocks whose rows are mixed with each other


def in_blocks(positions: np.ndarray, size: int, key: int, block: int) -> np.ndarray:
    """The same of an order in which rows that lie together come near each other: blocks of `block` rows in random order, and
    the rows of `WINDOW` blocks after one another mixed. What lies behind the last whole block is mixed into the last window."""
    whole, room = size // block, WINDOW * block
    windows, inside = np.divmod(positions, room)
    rows = np.empty_like(positions)
    for window in np.unique(windows).tolist():
        here = windows == window
        mixed = permuted(inside[here], min(room, size - window * room), key_of(key, window))
        number, place = np.divmod(mixed, block)
        number += window * WINDOW
        is_whole = number < whole
        number[is_whole] = permuted(number[is_whole], whole, key)
        rows[here] = number * block + place
    return rows


def permuted(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """The rows at `positions` (int64, each in 0..size-1) of the random order `key` of `size` rows."""
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    low = np.uint64((1 << half) - 1)
    keys = [np.uint64(key_of(key, number)) for number in range(ROUNDS)]
    values = positions.astype(np.uint64)
    outside = np.ones(len(values), bool)
    while outside.any():
        left, right = values[outside] >> np.uint64(half), values[outside] & low
        mixed, part = np.empty_like(right), np.empty_like(right)
        for round_key in keys:
            _mix_into(mixed, np.add(right, round_key, out=mixed), part)
            np.bitwise_xor(left, np.bitwise_and(mixed, low, out=mixed), out=left)
            left, right = right, left
        values[outside] = (left << np.uint64(half)) | right
        outside = values >= size
    return values.astype(np.int64)


def _mix_into(found: np.ndarray, values: np.ndarray, part: np.ndarray) -> None:
    """`mix` of `values` into `found`, which may be the same, by way of `part`: without memory of its own."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        np.right_shift(values, np.uint64(shift), out=part)
        np.bitwise_xor(values, part, out=found)
        if factor != 1:
            np.multiply(found, np.uint64(factor), out=found)
        values = found
