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


MANY = 1024  # rows, from which on they are dealt by rounds
ROUNDS, LAST = 8, 32  # rounds between two looks at the loads, and the last ones, of the shortest rows, each with a look


def deal(
    tokens: np.ndarray, world: int, budget: int, packed: bool = False, loads: np.ndarray | None = None
) -> list[list[Micro]]:
    """For each rank its micro-batches, as `dealt_to` has them."""
    begun = np.zeros(world, np.int64) if loads is None else loads
    found = [dealt_to(rank, tokens, world, budget, packed, begun.copy()) for rank in range(world)]
    hands(tokens, begun)
    return found


def dealt_to(
    rank: int, tokens: np.ndarray, world: int, budget: int, packed: bool = False, loads: np.ndarray | None = None
) -> list[Micro]:
    """The micro-batches of a rank over rows of `tokens` tokens: of all ranks equally many, together every row once.

    Longest first, each row to the rank with the fewest tokens, counted on from those in `loads` (world,), which then holds
    the sums: so ranks carry equal tokens over all heads of a step, not only over each. A rank with fewer micro-batches than
    the others splits its largest ones, or takes part with a dummy.
    """
    loads = np.zeros(world, np.int64) if loads is None else loads
    rows, sizes = hands(tokens, loads)
    own = split_by_budget(rows[rank][sizes[rank] >= 0].tolist(), tokens, budget, packed)
    shortest = len(tokens) - 1 - int(np.argmin(tokens[::-1])) if len(tokens) else 0
    return _stretched(own, most_groups(sizes, budget, packed), shortest)


def hands(tokens: np.ndarray, loads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(world, most rows of a rank) rows of each rank, longest first, and their tokens; -1 where a rank has no more. `loads` are
    counted on."""
    order = _order(tokens.max(initial=0) - tokens)
    rank = _by_rounds(tokens[order], loads) if len(order) >= MANY else _one_by_one(tokens[order], loads)
    counts = np.bincount(rank, minlength=len(loads))
    by_rank = _order(rank)
    rows = np.full((len(loads), int(counts.max(initial=0))), -1, np.int64)
    rows[np.arange(rows.shape[1]) < counts[:, None]] = order[by_rank]
    return rows, np.where(rows >= 0, tokens[rows] if len(tokens) else -1, -1)


def _order(values: np.ndarray) -> np.ndarray:
    """From the smallest to the largest, equal ones as they lie; of numbers of 16 bits numpy sorts without comparing."""
    return np.argsort(values.astype(np.uint16) if values.max(initial=0) < 1 << 16 else values, kind="stable")


def _one_by_one(tokens: np.ndarray, loads: np.ndarray) -> np.ndarray:
    """The rank of each row, in this order."""
    found = np.empty(len(tokens), np.int64)
    for place, size in enumerate(tokens.tolist()):
        found[place] = rank = int(np.argmin(loads))
        loads[rank] += size
    return found


def _by_rounds(tokens: np.ndarray, loads: np.ndarray) -> np.ndarray:
    """The same for so many rows that this takes long: in each round a row to each rank, to and fro; after some rounds, and
    in the end after each, the rank with the fewest tokens comes first again."""
    world, low = len(loads), 0
    found = np.empty(len(tokens), np.int64)
    while low < len(tokens):
        ranks = np.argsort(loads, kind="stable")
        early = len(tokens) - low > LAST * world
        turns = np.concatenate([ranks, ranks[::-1]] * (ROUNDS // 2)) if early else ranks[: len(tokens) - low]
        found[low : low + len(turns)] = turns
        loads += np.bincount(turns, tokens[low : low + len(turns)], world).astype(np.int64)
        low += len(turns)
    return found


def most_groups(sizes: np.ndarray, budget: int, packed: bool) -> int:
    """How many groups `split_by_budget` makes at most of any rank's rows, whose `sizes` are (world, rows), -1: none."""
    counts = (sizes >= 0).sum(1)
    upto = np.cumsum(np.maximum(sizes, 0), 1)
    ranks, at, groups = np.arange(len(sizes)), np.zeros(len(sizes), np.int64), 0
    while (going := at < counts).any():
        ranks, at, counts, upto, sizes = ranks[: going.sum()], at[going], counts[going], upto[going], sizes[going]
        first = sizes[ranks, at]
        if packed:
            before = upto[ranks, at] - first
            end = (upto <= (before + budget)[:, None]).sum(1)
        else:
            end = at + budget // first
        at = np.maximum(at + 1, end)
        groups += 1
    return groups


def _stretched(groups: list[tuple[int, ...]], passes: int, shortest: int) -> list[Micro]:
    groups = list(groups)
    while len(groups) < passes and any(len(group) > 1 for group in groups):
        largest = max(range(len(groups)), key=lambda index: len(groups[index]))
        group = groups.pop(largest)
        middle = (len(group) + 1) // 2
        groups[largest:largest] = [group[:middle], group[middle:]]
    micros = [Micro(group) for group in groups]
    return micros + [Micro((shortest,), dummy=True)] * (passes - len(micros))
