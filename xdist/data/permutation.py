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
    return values ^ (values >> np.uint64(31))


def key_of(*parts: int) -> int:
    """One 64-bit key from several integers, such as (seed, source, epoch)."""
    key = np.array([0x9E3779B97F4A7C15], np.uint64)
    for part in parts:
        key = mix(key + np.uint64(part & 0xFFFFFFFFFFFFFFFF) + np.uint64(0x9E3779B97F4A7C15))
    return int(key[0])


def permuted(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """The rows at `positions` (int64, each in 0..size-1) of the random order `key` of `size` rows."""
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    low = np.uint64((1 << half) - 1)
    keys = [np.uint64(key_of(key, number)) for number in range(ROUNDS)]
    values = positions.astype(np.uint64)
    outside = np.ones(len(values), bool)
    while outside.any():
        left, right = values[outside] >> np.uint64(half), values[outside] & low
        for round_key in keys:
            left, right = right, left ^ (mix(right + round_key) & low)
        values[outside] = (left << np.uint64(half)) | right
        outside = values >= size
    return values.astype(np.int64)
