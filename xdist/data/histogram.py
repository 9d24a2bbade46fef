"""How often each piece of the vocabulary stands in a prepared set: counted once, kept beside its shards."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from xdist.files import written

HISTOGRAM = "histogram.npy"


def count_pieces(shards: Iterable[Path]) -> np.ndarray:
    """(ids,) int64: how often each id up to the largest stands in the tokens of `shards`."""
    total = np.zeros(0, np.int64)
    for path in shards:
        tokens = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).column("tokens").values.to_numpy()
        counts = np.bincount(tokens, minlength=len(total))
        counts[: len(total)] += total
        total = counts
    return total


def write_histogram(folder: Path, counts: np.ndarray) -> None:
    with written(folder / HISTOGRAM) as temporary, temporary.open("wb") as file:
        np.save(file, counts)


def read_histogram(folder: Path) -> np.ndarray | None:
    """None for a set that was prepared before histograms were kept."""
    path = folder / HISTOGRAM
    return np.load(path) if path.is_file() else None
