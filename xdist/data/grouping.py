"""Where each value of an array stands."""

from collections.abc import Iterator

import numpy as np


def group_by_value(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(value, its places in order) of each that occurs among `values` (n,), none below 0; in a time that does not grow with
    how many there are."""
    if len(values) and (values == values[0]).all():
        yield int(values[0]), np.arange(len(values))
        return
    counts = np.bincount(values)
    present = np.flatnonzero(counts).tolist()
    # numpy sorts numbers of 16 bits without comparing.
    order = np.argsort(values.astype(np.uint16) if len(counts) <= 1 << 16 else values, kind="stable")
    low = 0
    for value, high in zip(present, np.cumsum(counts[present]).tolist(), strict=True):
        yield value, order[low:high]
        low = high
