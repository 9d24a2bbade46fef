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
    size = longest = 0
    for row, own in zip(rows, tokens[rows].tolist() if len(rows) else (), strict=True):
        size = size + own if packed or not groups else longest * (len(groups[-1]) + 1)
        if groups and size <= budget:
            groups[-1].append(row)
        else:
            groups.append([row])
            size = longest = own
    return [tuple(group) for group in groups]


MANY = 1024  # rows, from which on they are dealt by rounds
EVEN = 0.002  # of a rank's tokens: rows of a round that differ by no more are equal
LOOKS = 2048  # over the number of rounds: the last ones, of the shortest rows, before each of which ranks are put in order


def deal(
    tokens: np.ndarray, world: int, budget: int, packed: bool = False, loads: np.ndarray | None = None
) -> list[list[Micro]]:
    """For each rank its micro-batches, as `deal_to_rank` has them."""
    begun = np.zeros(world, np.int64) if loads is None else loads
    found = [deal_to_rank(rank, tokens, world, budget, packed, begun.copy()) for rank in range(world)]
    deal_rows(tokens, begun)
    return found


def deal_to_rank(
    rank: int, tokens: np.ndarray, world: int, budget: int, packed: bool = False, loads: np.ndarray | None = None
) -> list[Micro]:
    """The micro-batches of a rank over rows of `tokens` tokens: of all ranks equally many, together every row once.

    Longest first, each row to the rank with the fewest tokens, counted on from those in `loads` (world,), which then holds
    the sums: so ranks carry equal tokens over all heads of a step, not only over each. A rank with fewer micro-batches than
    the others splits its largest ones, or takes part with a dummy.
    """
    loads = np.zeros(world, np.int64) if loads is None else loads
    rows, sizes = deal_rows(tokens, loads)
    own = split_by_budget(rows[rank][sizes[rank] >= 0].tolist(), tokens, budget, packed)
    return _stretch_groups(own, most_groups(sizes, budget, packed), tokens)


def deal_rows(tokens: np.ndarray, loads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(world, most rows of a rank) rows of each rank, longest first, and their tokens; -1 where a rank has no more. `loads` are
    counted on."""
    order = _order(tokens.max(initial=0) - tokens)
    if len(order) >= MANY:
        return _deal_by_rounds(order, tokens[order], loads)
    rank = _deal_one_by_one(tokens[order], loads)
    counts = np.bincount(rank, minlength=len(loads))
    rows = np.full((len(loads), int(counts.max(initial=0))), -1, np.int64)
    rows[np.arange(rows.shape[1]) < counts[:, None]] = order[_order(rank)]
    return rows, np.where(rows >= 0, tokens[rows] if len(tokens) else -1, -1)


def _order(values: np.ndarray) -> np.ndarray:
    """From the smallest to the largest, equal ones in their order; of numbers of 16 bits numpy sorts without comparing."""
    return np.argsort(values.astype(np.uint16) if values.max(initial=0) < 1 << 16 else values, kind="stable")


def _deal_one_by_one(tokens: np.ndarray, loads: np.ndarray) -> np.ndarray:
    """The rank of each row, in this order."""
    ranks = np.empty(len(tokens), np.int64)
    for place, size in enumerate(tokens.tolist()):
        ranks[place] = rank = int(np.argmin(loads))
        loads[rank] += size
    return ranks


def _deal_by_rounds(order: np.ndarray, tokens: np.ndarray, loads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`deal_rows` where there are too many rows to deal them one by one, in this `order` and of these `tokens`: in each round
    each rank gets a row, to and fro. After half of the rounds that are left, at most, and in the end after each, the rank with
    the fewest tokens comes first again."""
    world = len(loads)
    rounds, at = -(-len(order) // world), 0  # rounded up: the last round may have fewer rows than ranks
    rows, sizes = np.full((2, rounds, world), -1, np.int32)
    rows.ravel()[: len(order)], sizes.ravel()[: len(order)] = order, tokens
    turns = np.empty((rounds, world), np.int64)  # the rank of each row
    uneven = (sizes[:, 0] - sizes[:, -1] > EVEN * tokens.sum() / world).tolist()
    while at < rounds:
        ranks = loads.argsort(kind="stable")
        # Two rounds at a time, the second in the opposite order, so that no rank always gets the longer row.
        if pairs := 0 if uneven[at] else max(0, rounds - at - LOOKS // rounds) // 4:
            there, back = slice(at, at + 2 * pairs, 2), slice(at + 1, at + 2 * pairs, 2)
            turns[there], turns[back] = ranks, ranks[::-1]
            loads[ranks] += sizes[there].sum(0) + sizes[back].sum(0)[::-1]
            at += 2 * pairs
        else:
            turns[at] = ranks
            loads[ranks] += sizes[at] if at < rounds - 1 else np.maximum(sizes[at], 0)
            at += 1
    places = turns * rounds + np.arange(rounds)[:, None]  # of (rank, round) in a flat array
    dealt = np.empty((2, world, rounds), np.int32)
    dealt[0].ravel()[places], dealt[1].ravel()[places] = rows, sizes
    return dealt[0], dealt[1]


def most_groups(sizes: np.ndarray, budget: int, packed: bool) -> int:
    """How many groups `split_by_budget` makes at most of any rank's rows, whose `sizes` are (world, rows), -1: none."""
    counts = np.count_nonzero(sizes >= 0, axis=1)
    upto = np.cumsum(np.maximum(sizes, 0), 1)
    ranks, at, groups = np.arange(len(sizes)), np.zeros(len(sizes), np.int64), 0
    # One group of every rank at a time: `upto` are sums of tokens, so where a group ends is found without adding up its rows.
    while (going := at < counts).any():
        if not going.all():
            ranks, at, counts, upto, sizes = ranks[: going.sum()], at[going], counts[going], upto[going], sizes[going]
        first = sizes[ranks, at]
        if packed:
            limit = upto[ranks, at] - first + budget
            if (upto[:, -1] <= limit).all():
                return groups + 1
            end = np.count_nonzero(upto <= limit[:, None], axis=1)
        else:
            end = at + budget // first
        at = np.maximum(at + 1, end)
        groups += 1
    return groups


def _stretch_groups(groups: list[tuple[int, ...]], passes: int, tokens: np.ndarray) -> list[Micro]:
    groups = list(groups)
    while len(groups) < passes and any(len(group) > 1 for group in groups):
        largest = max(range(len(groups)), key=lambda index: len(groups[index]))
        group = groups.pop(largest)
        middle = (len(group) + 1) // 2
        groups[largest:largest] = [group[:middle], group[middle:]]
    micros = [Micro(group) for group in groups]
    if len(micros) == passes:
        return micros
    # The last of the shortest rows, since argmin finds the first.
    shortest = len(tokens) - 1 - int(np.argmin(tokens[::-1]))
    return micros + [Micro((shortest,), dummy=True)] * (passes - len(micros))
