"""A row's tokens after some of its words were replaced, and where each of its old tokens went."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Of a row of T tokens, T' afterwards. Tokens of a replaced word have no counterparts of their own: the word's places run
    along with its new tokens as far as there are any, and all its new tokens stand for the whole old word."""

    tokens: np.ndarray  # (T',) int32
    lengths: np.ndarray  # (S,) int32 tokens of each sequence
    places: np.ndarray  # (T + 1,) new position of each old one, never decreasing; the last is the end
    sources: np.ndarray  # (T', 2) first old position and the one after the last that a new token stands for
    shared: np.ndarray  # (T,) bool: kept as it was, or the first token of a replaced word


def rewritten(
    tokens: np.ndarray, lengths: np.ndarray, low: np.ndarray, high: np.ndarray, new: Mapping[int, np.ndarray]
) -> Rewritten:
    """`tokens` with word w, which is tokens[low[w]:high[w]], replaced by `new[w]` (not empty) for every w in `new`."""
    size = len(tokens)
    parts, sources = [], []
    places = np.arange(size + 1)
    shared = np.ones(size, bool)
    lengths = lengths.astype(np.int32)
    ends = np.cumsum(lengths)
    at = 0
    for word in sorted(new):
        first, last, ids = low[word], high[word], new[word]
        growth = len(ids) - (last - first)
        parts += [tokens[at:first], ids]
        sources += [_each(at, first), np.full((len(ids), 2), (first, last))]
        places[first:last] = places[first] + np.minimum(np.arange(last - first), len(ids) - 1)
        places[last:] += growth
        shared[first + 1 : last] = False
        lengths[np.searchsorted(ends, first, side="right")] += growth
        at = last
    parts.append(tokens[at:])
    sources.append(_each(at, size))
    return Rewritten(np.concatenate(parts).astype(np.int32), lengths, places, np.concatenate(sources), shared)


def _each(first: int, last: int) -> np.ndarray:
    here = np.arange(first, last)
    return np.stack([here, here + 1], axis=1)
