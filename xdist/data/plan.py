"""Which rows make up step s: a pure function of (sources, seed, s), and of nothing that happened before.

World size, micro-batches and ZeRO stage do not enter, so a run can resume anywhere and 1, 2 or 64 ranks see the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush

import numpy as np

from xdist.data.grouping import group_by_value
from xdist.data.permutation import InBlocks, Order, Permutation, key_of
from xdist.errors import UserError

# The mixture repeats after this many draws, a power of two; a source's share is exact to one part in this.
CYCLE = 1 << 14


@dataclass(frozen=True, slots=True)
class Draws:
    """The rows of one step: source number, row in that source, and how often that source was read through before."""

    source: np.ndarray  # (B,)
    row: np.ndarray  # (B,)
    epoch: np.ndarray  # (B,)


class PlanPhase:
    """A mixture and the step that it begins with; `before` are the draws of each source up to there."""

    def __init__(self, first: int, shares: Sequence[float], before: np.ndarray) -> None:
        self.first, self.before = first, before
        self.quotas = quotas(shares, CYCLE)
        self.source, self.rank = interleave(tuple(self.quotas.tolist()))

    def rows_drawn(self, draws: int) -> np.ndarray:
        """(sources,) how often each source is drawn from in all by the time that this phase has made `draws` draws."""
        cycles, rest = divmod(draws, CYCLE)
        drawn: np.ndarray = self.before + cycles * self.quotas + np.bincount(self.source[:rest], minlength=len(self.quotas))
        return drawn


class Plan:
    """Draws of `batch_size` rows a step from sources of `sizes` rows in proportion to `shares`; to other shares from the steps
    on that `later` names, in order.

    After any number of draws a source is less than one row off its share, so within any window less than two; no row of a
    source comes twice before all of it has come once; the order is another one in each epoch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        shares: Sequence[float],
        batch_size: int,
        seed: int,
        later: Sequence[tuple[int, Sequence[float]]] = (),
        blocks: Sequence[int] | None = None,
    ) -> None:
        """`blocks`: of each source how many neighbouring rows are drawn together; None: each row separately."""
        if not sizes or min(sizes) < 1:
            raise UserError("a training set is empty: the plan has nothing to draw from")
        self.sizes = list(sizes)
        self.batch_size = batch_size
        self.seed = seed
        self.blocks = list(blocks) if blocks is not None else [1] * len(sizes)
        self._orders: dict[int, tuple[int, Order]] = {}
        self.phases = [PlanPhase(0, shares, np.zeros(len(sizes), np.int64))]
        for first, later_shares in later:
            last = self.phases[-1]
            self.phases.append(PlanPhase(first, later_shares, last.rows_drawn((first - last.first) * batch_size)))

    def step(self, number: int) -> Draws:
        phase = self._phase(number)
        first = (number - phase.first) * self.batch_size
        place = np.arange(first, first + self.batch_size) & (CYCLE - 1)
        source = phase.source[place]
        row, epoch = np.empty_like(source), np.empty_like(source)
        for drawn_source, here in group_by_value(source):
            # Draws of a source follow one another: only how often it was drawn from before the first has to be reckoned.
            size, at = self.sizes[drawn_source], int(here[0])
            begin = int(phase.before[drawn_source] + (first + at) // CYCLE * phase.quotas[drawn_source] + phase.rank[place[at]])
            end = begin + len(here)
            for turn in range(begin // size, (end - 1) // size + 1):
                low, high = max(turn * size, begin), min((turn + 1) * size, end)
                places = slice(low - begin, high - begin) if len(here) == len(source) else here[low - begin : high - begin]
                epoch[places] = turn
                row[places] = self._order(drawn_source, turn)(np.arange(low - turn * size, high - turn * size))
        return Draws(source, row, epoch)

    def _order(self, source: int, epoch: int) -> Order:
        """The last one of each source is kept, since it may have tables."""
        epoch_kept, order = self._orders.get(source, (-1, None))
        if epoch_kept != epoch or order is None:
            size, key, block = self.sizes[source], key_of(self.seed, source, epoch), self.blocks[source]
            order = Permutation(size, key) if block == 1 else InBlocks(size, key, block)
            self._orders[source] = epoch, order
        return order

    def rows_drawn(self, step: int) -> np.ndarray:
        """(sources,) rows drawn from each source in the first `step` steps, at once."""
        phase = self._phase(max(step - 1, 0))
        return phase.rows_drawn((step - phase.first) * self.batch_size)

    def _phase(self, step: int) -> PlanPhase:
        return next(phase for phase in reversed(self.phases) if phase.first <= step)


def quotas(shares: Sequence[float], total: int) -> np.ndarray:
    """`total` split in proportion to `shares` by largest remainders; only a source whose share is 0 gets nothing."""
    exact = np.asarray(shares, float) / np.sum(shares) * total
    whole: np.ndarray = np.maximum(np.floor(exact), exact > 0).astype(np.int64)
    while whole.sum() != total:
        if whole.sum() < total:
            whole[np.argmax(np.where(exact > 0, exact - whole, -np.inf))] += 1
        else:
            whole[np.argmax(np.where(whole > 1, whole - exact, -np.inf))] -= 1
    return whole


@lru_cache(maxsize=16)
def interleave(quotas: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Source of each draw of a cycle, and how many draws of that source came before it.

    Draw k of a source with share w is in places floor(k / w) to ceil((k + 1) / w) - 1; taking the earliest deadline meets
    them all (Baruah et al. 1996, "Proportionate progress"), and every prefix of n draws then has floor or ceil of n * w.
    """
    cycle = sum(quotas)
    source, rank = np.empty(cycle, np.int64), np.empty(cycle, np.int64)
    drawn = [0] * len(quotas)
    coming = [
        (0, number) for number in range(len(quotas)) if quotas[number]
    ]  # (first place, source) of each source's next draw
    ready: list[tuple[int, int]] = []  # (place it must come before, source)
    for place in range(cycle):
        while coming and coming[0][0] <= place:
            _, number = heappop(coming)
            # -(-a // b) is a / b rounded up, in integers.
            heappush(ready, (-(-(drawn[number] + 1) * cycle // quotas[number]), number))
        _, number = heappop(ready)
        source[place], rank[place] = number, drawn[number]
        drawn[number] += 1
        heappush(coming, (drawn[number] * cycle // quotas[number], number))
    source.flags.writeable = rank.flags.writeable = False  # other plans have the same
    return source, rank


def shares_of(
    sizes: Sequence[int],
    task_of: Sequence[int],
    weights: Sequence[float | None],
    alpha: float,
    task_alpha: float = 1.0,
    cap: int | None = None,
) -> list[float]:
    """Share of each source. A task's is its weight, or its number of rows, of which at most `cap` count, ** `task_alpha`; its
    languages divide that by size ** alpha."""
    shares = []
    for size, number in zip(sizes, task_of, strict=True):
        siblings = [sibling for sibling, theirs in zip(sizes, task_of, strict=True) if theirs == number]
        weight = weights[number]
        rows = sum(siblings) if cap is None else min(sum(siblings), cap)
        of_task = float(rows) ** task_alpha if weight is None else weight
        shares.append(of_task * size**alpha / sum(sibling**alpha for sibling in siblings))
    return shares
