"""Rows dealt to ranks and micro-batches so that ranks carry equal tokens and make equal numbers of forward passes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Micro:
    """Rows (numbers into the dealt list) of one forward pass; a dummy keeps other ranks company and counts nothing."""

    rows: tuple[int, ...]
    dummy: bool = False


def split_by_budget(rows: Sequence[int], tokens: np.ndarray, budget: int) -> list[tuple[int, ...]]:
    """`rows` (longest first) cut into groups whose padded size, longest x count, stays within `budget` where one row does."""
    groups: list[list[int]] = []
    for row in rows:
        if groups and tokens[groups[-1][0]] * (len(groups[-1]) + 1) <= budget:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [tuple(group) for group in groups]


def deal(tokens: np.ndarray, world: int, budget: int) -> list[list[Micro]]:
    """For each rank its micro-batches over rows of `tokens` tokens: the same number on every rank, together every row once.

    Longest first, each row to the rank with the fewest tokens. A rank with fewer micro-batches than the others splits its
    largest ones, or takes part with a dummy.
    """
    order = np.argsort(-tokens, kind="stable")
    loads = np.zeros(world, np.int64)
    hands: list[list[int]] = [[] for _ in range(world)]
    for row in order:
        rank = int(np.argmin(loads))
        hands[rank].append(int(row))
        loads[rank] += tokens[row]
    groups = [split_by_budget(hand, tokens, budget) for hand in hands]
    passes = max(map(len, groups), default=0)
    return [_stretched(own, passes, int(order[-1]) if len(order) else 0) for own in groups]


def _stretched(groups: list[tuple[int, ...]], passes: int, shortest: int) -> list[Micro]:
    groups = list(groups)
    while len(groups) < passes and any(len(group) > 1 for group in groups):
        largest = max(range(len(groups)), key=lambda index: len(groups[index]))
        group = groups.pop(largest)
        middle = (len(group) + 1) // 2
        groups[largest:largest] = [group[:middle], group[middle:]]
    micros = [Micro(group) for group in groups]
    return micros + [Micro((shortest,), dummy=True)] * (passes - len(micros))
