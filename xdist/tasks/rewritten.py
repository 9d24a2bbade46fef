"""A row's tokens after some of its words were replaced, and where each of its old tokens went."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

WordIds = tuple[int, ...]  # its tokens


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Of a row of T tokens, T' afterwards. Tokens of a replaced word have no own counterparts: the word's places run
    along with its new tokens as far as there are any, and all its new tokens stand for the complete old word."""

    tokens: np.ndarray  # (T',) int32
    lengths: np.ndarray  # (S,) int32 tokens of each sequence
    places: np.ndarray  # (T + 1,) new position of each old one, never decreasing; the last is the end
    sources: np.ndarray  # (T', 2) first old position and the one after the last that a new token stands for
    shared: np.ndarray  # (T,) bool: kept as it was, or the first token of a replaced word


def rewritten(tokens: list[int], lengths: list[int], spans: Sequence[tuple[int, int]], new: Mapping[int, WordIds]) -> Rewritten:
    """`tokens` with word w, which is tokens[first:last] for (first, last) = spans[w], replaced by `new[w]` (not empty) for
    every w in `new`. Lists, because words are too short for arrays to be faster."""
    made: list[int] = []
    places: list[int] = []
    low: list[int] = []
    high: list[int] = []
    shared = [True] * len(tokens)
    lengths = list(lengths)
    ends = list(accumulate(lengths))
    at = 0
    for word in sorted(new):
        first, last = spans[word]
        ids, count = new[word], last - first
        places += range(len(made), len(made) + first - at)
        places += [len(made) + first - at + min(place, len(ids) - 1) for place in range(count)]
        made += tokens[at:first]
        made += ids
        low += range(at, first)
        high += range(at + 1, first + 1)
        low += [first] * len(ids)
        high += [last] * len(ids)
        shared[first + 1 : last] = [False] * (count - 1)
        lengths[bisect_right(ends, first)] += len(ids) - count
        at = last
    places += range(len(made), len(made) + len(tokens) - at + 1)
    made += tokens[at:]
    low += range(at, len(tokens))
    high += range(at + 1, len(tokens) + 1)
    return Rewritten(
        np.array(made, np.int32), np.array(lengths, np.int32), np.array(places), np.array([low, high]).T, np.array(shared)
    )
