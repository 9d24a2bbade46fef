"""Rows dealt to ranks and micro-batches so that ranks carry equal tokens and make equal numbers of forward passes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Micro:
    """Rows (numbers into the dealt list) of one forward pass; a dummy keeps other ranks company and counts nothing."""

    rows: tuple[int, ...]
    dummy: bool = False


def split_by_budget(rows: Sequence[int], tokens: np.ndarray, budget: int, packed: bool = False) -> list[tuple[int, ...]]:
    """`rows` (longest first) cut into groups that stay within `budget` where one row does: by their tokens if `packed`, else by
    their padded size, longest x count."""
    groups: list[list[int]] = []
    size = 0
    for row in rows:
        size = size + int(tokens[row]) if packed or not groups else int(tokens[groups[-1][0]]) * (len(groups[-1]) + 1)
        if groups and size <= budget:
            groups[-1].append(row)
        else:
            groups.append([row])
            size = int(tokens[row])
    return [tuple(group) for group in groups]


def deal(
    tokens: np.ndarray, world: int, budget: int, packed: bool = False, loads: np.ndarray | None = None
) -> list[list[Micro]]:
    """For each rank its micro-batches over rows of `tokens` tokens: the same number on every rank, together every row once.

    Longest first, each row to the rank with the fewest tokens, counted on from those in `loads` (world,), which then holds
    the sums: so ranks carry equal tokens over all heads of a step, not only over each. A rank with fewer micro-batches than
    the others splits its largest ones, or takes part with a dummy.
    """
    order = np.argsort(-tokens, kind="stable")
    loads = np.zeros(world, np.int64) if loads is None else loads
    hands: list[list[int]] = [[] for _ in range(world)]
    for row in order:
        rank = int(np.argmin(loads))
        hands[rank].append(int(row))
        loads[rank] += tokens[row]
    groups = [split_by_budget(hand, tokens, budget, packed) for hand in hands]
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
