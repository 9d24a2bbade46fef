"""How often each piece of the vocabulary occurs in a prepared set: counted once, kept next to its shards."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from xdist.errors import UserError
from xdist.files import file_digest, written

HISTOGRAM = "histogram.npy"


def count_pieces(shards: Iterable[np.ndarray]) -> np.ndarray:
    """(ids,) int64: how often each id up to the largest occurs in the tokens of `shards`."""
    total = np.zeros(0, np.int64)
    for tokens in shards:
        counts = np.bincount(tokens, minlength=len(total))
        counts[: len(total)] += total
        total = counts
    return total


def write_histogram(folder: Path, counts: np.ndarray) -> str:
    """Returns the digest of what was written."""
    with written(folder / HISTOGRAM) as temporary:
        with temporary.open("wb") as file:
            np.save(file, counts)
        return file_digest(temporary)


def read_histogram(folder: Path, digest: str | None = None) -> np.ndarray | None:
    """None where there is none, as of a set that was prepared before histograms were kept: it is counted again then. Raises
    UserError for one that is damaged, by the `digest` of what was written where the set knows it."""
    path = folder / HISTOGRAM
    if not path.is_file():
        return None
    try:
        if digest is None or file_digest(path) == digest:
            counts: np.ndarray = np.load(path)
            return counts
    except (OSError, ValueError, EOFError):
        pass
    raise UserError(f"{path}: damaged; remove this file, it is counted again")
