"""The loss of each task and language since it was last asked for."""

import torch
from torch import Tensor

from xdist.data.batches import TrainingData, sources_of
from xdist.run import distributed
from xdist.tasks.batch import Batch


class SubsetLosses:
    """Means over the valid tokens or examples of each training subset."""

    def __init__(self, data: TrainingData, device: torch.device) -> None:
        self.families = data.families
        self.names = [f"{subset.task.name}/{subset.language}" for subset in data.subsets]
        self._sums = torch.zeros(len(self.names), 2, dtype=torch.float64, device=device)  # losses, valid tokens or examples

    def add(self, batch: Batch, losses: Tensor) -> None:
        """Note the (count,) losses of a batch. Nothing is read back from the device."""
        if not batch.dummy:
            subset = sources_of(batch.row_ids)[self.families[batch.head].row_of(batch)]
            self._sums.index_add_(0, subset, torch.stack([losses, torch.ones_like(losses)], 1).double())

    def state(self) -> list[list[float]]:
        """What was noted so far, by rank, for a checkpoint. Collective."""
        here, size = distributed.rank(), self._sums.numel()
        placed = [0.0] * (size * distributed.world())
        placed[here * size : (here + 1) * size] = self._sums.flatten().tolist()
        there = distributed.sum_over_ranks(placed)
        return [there[low : low + size] for low in range(0, len(there), size)]

    def restore(self, state: list[list[float]]) -> None:
        """Go on from a `state`; that of other numbers of ranks goes to the first."""
        if len(state) == distributed.world():
            mine = state[distributed.rank()]
        else:
            mine = [sum(values) * (distributed.rank() == 0) for values in zip(*state, strict=True)]
        self._sums.copy_(torch.tensor(mine, dtype=torch.float64).view_as(self._sums))

    def means(self) -> dict[str, float]:
        """By task/language, for those that had a row, over all ranks; begins anew. Collective."""
        totals = distributed.sum_over_ranks(self._sums.flatten().tolist())
        self._sums.zero_()
        pairs = zip(self.names, totals[0::2], totals[1::2], strict=True)
        return {name: losses / count for name, losses, count in pairs if count}
