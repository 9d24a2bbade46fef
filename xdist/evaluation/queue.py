"""The work of evaluating a task in all its languages as one queue, the same for any number of ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdist.config.runtime import Runtime
from xdist.data.deal import split_by_budget
from xdist.data.shards import Rows

# Padded tokens of one forward pass. A CPU's cache holds the activations of few, a GPU wants many.
TOKENS = {"cpu": 1024}
TOKENS_ELSEWHERE = 16384
# A small set is cut into about this many batches, so that ranks find something to share; no finer than MIN_TOKENS.
BATCHES, MIN_TOKENS = 64, 256


def budget_of(runtime: Runtime, device: str) -> int:
    """Padded tokens of one forward pass on a device of this type: what the run says, else what suits the device."""
    return runtime.eval_batch_tokens or TOKENS.get(device, TOKENS_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class ForwardRows:
    """Rows of one forward pass: (subset number, row in that subset)."""

    rows: tuple[tuple[int, int], ...]
    cost: int  # tokens, those of the padding too where there is any
    # Keeps other ranks company where a forward pass is a collective (ZeRO-3); what comes out of it is dropped.
    dummy: bool = False


def batch_queue(sets: Sequence[Rows], budget: int, packed: bool = False) -> list[ForwardRows]:
    """All rows of `sets`, longest first, in batches of at most `budget` tokens, padded ones unless the model is `packed`,
    and fewer where the sets are small.

    Languages share batches. What a batch holds depends on the data alone, so predictions do not depend on the world size.
    """
    owner = np.concatenate([np.full(len(shards), number) for number, shards in enumerate(sets)])
    row = np.concatenate([np.arange(len(shards)) for shards in sets])
    tokens = np.concatenate([shards.tokens for shards in sets])
    budget = min(budget, max(MIN_TOKENS, int(tokens.sum()) // BATCHES))
    order = np.lexsort((row, owner, -tokens))
    work = []
    for group in split_by_budget(order.tolist(), tokens, budget, packed):
        cost = tokens[list(group)].sum() if packed else tokens[group[0]] * len(group)
        work.append(ForwardRows(tuple((int(owner[i]), int(row[i])) for i in group), int(cost)))
    return work


def rank_share(work: Sequence[ForwardRows], rank: int, world: int, lockstep: bool = False) -> list[ForwardRows]:
    """What falls to a rank: each batch, dearest first, to the rank with the least so far. In `lockstep` all ranks get equally
    many, those with fewer the cheapest batch again as a dummy."""
    hands: list[list[ForwardRows]] = [[] for _ in range(world)]
    loads = [0] * world
    for item in sorted(work, key=lambda item: -item.cost):
        least = loads.index(min(loads))
        loads[least] += item.cost
        hands[least].append(item)
    if lockstep and work:
        dummy = replace(min(work, key=lambda item: item.cost), dummy=True)
        hands[rank] += [dummy] * (max(map(len, hands)) - len(hands[rank]))
    return hands[rank]
