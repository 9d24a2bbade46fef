"""All segmentations of a word into the pieces of a unigram vocabulary, and draws from them.

    P(segmentation) is proportional to exp(alpha * sum of the log-probabilities of its pieces)

over the complete lattice (forward filtering, backward sampling) or over its l best (Kudo 2018, arXiv 1804.10959, equation 8).
A segmentation is a tuple of piece ids.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

Edge = tuple[int, int, float]  # where a piece begins, its id, its log-probability


@dataclass(frozen=True, slots=True)
class Lattice:
    """`ending[j]` are the pieces that end at character j and can be reached from the beginning, longest first."""

    ending: Sequence[Sequence[Edge]]

    @classmethod
    def of(cls, word: str, pieces: Mapping[str, tuple[int, float]], longest: int) -> "Lattice":
        """The lattice of `word`, given each piece's id and log-probability and the length of the longest."""
        ending: list[list[Edge]] = [[]]
        for end in range(1, len(word) + 1):
            begins = (begin for begin in range(max(0, end - longest), end) if begin == 0 or ending[begin])
            found = ((begin, pieces.get(word[begin:end])) for begin in begins)
            ending.append([(begin, *piece) for begin, piece in found if piece is not None])
        return cls(ending)


class Sampler:
    """Draws from the complete lattice: `choices[j]` are the pieces that may come last when the rest ends at j, with their
    cumulative probabilities."""

    def __init__(self, lattice: Lattice, alpha: float) -> None:
        mass = [0.0] + [-math.inf] * (len(lattice.ending) - 1)  # log of the summed weights of all ways to reach a character
        self.choices: list[tuple[Sequence[Edge], list[float]]] = [((), [])]
        for end, edges in enumerate(lattice.ending[1:], start=1):
            weights = [mass[begin] + alpha * score for begin, _, score in edges]
            if weights:
                # The log of a sum of exponentials, the largest taken out so that none overflows.
                highest = max(weights)
                total = sum(math.exp(weight - highest) for weight in weights)
                mass[end] = highest + math.log(total)
                weights = [math.exp(weight - highest) / total for weight in weights]
            self.choices.append((edges, list(accumulate(weights))))

    def __call__(self, draws: Sequence[float]) -> tuple[int, ...]:
        """A segmentation, from numbers in [0, 1), as many as the word has characters."""
        pieces = []
        # From the last piece to the first: how probable a piece is there, all ways before it are summed in already.
        end = len(self.choices) - 1
        for draw in draws:
            edges, cumulative = self.choices[end]
            end, piece, _ = edges[min(bisect_right(cumulative, draw), len(edges) - 1)]
            pieces.append(piece)
            if end == 0:
                break
        return tuple(reversed(pieces))


class BestSampler:
    """Draws from the `count` best segmentations."""

    def __init__(self, lattice: Lattice, alpha: float, count: int) -> None:
        scored = best_segmentations(lattice, count)
        weights = [math.exp(alpha * (score - scored[0][0])) for score, _ in scored]
        self.segmentations = [segmentation for _, segmentation in scored]
        self.cumulative = [weight / sum(weights) for weight in accumulate(weights)]

    def __call__(self, draws: Sequence[float]) -> tuple[int, ...]:
        """A segmentation, from the first of `draws`."""
        return self.segmentations[min(bisect_right(self.cumulative, draws[0]), len(self.segmentations) - 1)]


def best_segmentations(lattice: Lattice, count: int) -> list[tuple[float, tuple[int, ...]]]:
    """The `count` best segmentations with their log-probabilities, best first."""
    # By dynamic programming: the `count` best ways to each character suffice, since the beginning of one of the best ways to
    # the end is among the best ways to where it stops.
    reached: list[list[tuple[float, tuple[int, ...]]]] = [[(0.0, ())]]
    for edges in lattice.ending[1:]:
        ways = [(sum_ + score, (*path, piece)) for begin, piece, score in edges for sum_, path in reached[begin]]
        reached.append(sorted(ways, key=lambda way: -way[0])[:count])
    return reached[-1]
