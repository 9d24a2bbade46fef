"""What one step saw on a rank, and its sums over all ranks: counts that weigh its loss, and what is logged of it.

Seconds of its parts are read from a GPU's events, and only when needed: nothing waits before."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from xdist.data.batches import TrainingData, sources_of
from xdist.robust.passes import Pass
from xdist.robust.statistics import Statistics
from xdist.robust.statistics import logged_scalars as robust_scalars
from xdist.run import distributed
from xdist.run.arriving import Arriving
from xdist.tasks.batch import Batch

DISTANCE, DEPTH = "syntax/distance", "syntax/depth"


class StepRecord:
    """What one step saw on this rank, and its sums over all ranks."""

    def __init__(self, batches: list[Batch], data: TrainingData, device: torch.device) -> None:
        self.heads = sorted(data.families)
        self.counts: dict[str, float] = defaultdict(float)
        self.rows: dict[str, float] = defaultdict(float)
        self.tokens = 0.0
        self.places = 0.0  # what the layers compute: tokens and padding
        self.loads = [0.0] * distributed.world()  # tokens of each rank
        self.stop = self.busy = False
        self.device = device
        self.statistics = Statistics(device)
        names = ("loss", "clean", "perturbed")
        self.losses = dict(zip(names, torch.zeros(len(names), device=device).unbind(), strict=True))
        self.weights = {"clean": 0.0, "perturbed": 0.0}  # of the passes that know such a loss
        self.batches = len(batches)
        self.began = current_moment(device)
        self._sent: Arriving | None = None
        self._names: list[str] = []
        self.spans: list[tuple[Moment, Moment, float]] = []  # begin, end, share that robustness has in it
        for batch in batches:
            if not batch.dummy:
                self.counts[batch.head] += data.families[batch.head].count(batch)
                self.rows[batch.head] += len(batch.row_ids)
                self.tokens += len(batch.tokens)
                self.places += len(batch.tokens) if data.packed else len(batch.lengths) * batch.width
                self.statistics.count_rewritten(batch.words)

    def reduce(self, stop: bool, busy: bool = False) -> None:
        """Sum the counts over ranks: the one collective that a step itself makes. `stop` becomes true if any rank's is, and
        so does `busy`, which says that a checkpoint is being written."""
        values = [self.counts[head] for head in self.heads] + [self.rows[head] for head in self.heads]
        self.loads[distributed.rank()] = self.tokens
        totals = distributed.sum_of_hosts([*values, *self.loads, self.places, float(stop), float(busy)])
        self.counts = dict(zip(self.heads, totals, strict=False))
        self.rows = dict(zip(self.heads, totals[len(self.heads) :], strict=False))
        self.loads, self.places = totals[2 * len(self.heads) : -3], totals[-3]
        self.stop, self.busy = totals[-2] > 0, totals[-1] > 0
        self.tokens = sum(self.loads)

    def layout(self) -> dict[str, float]:
        """How much of what the layers compute is padding, and by how much the rank with the most tokens exceeds the mean."""
        mean = self.tokens / len(self.loads)
        return {
            "train/padding_percent": 100 * (1 - self.tokens / self.places),
            "train/imbalance_percent": 100 * (max(self.loads) / mean - 1),
        }

    def share(self, batch: Batch) -> float:
        """What one unit of this batch's summed loss weighs in the loss of the step."""
        if batch.dummy or not self.counts[batch.head]:
            return 0.0
        return self.rows[batch.head] / sum(self.rows.values()) / self.counts[batch.head]

    def share_of_row(self, batch: Batch) -> float:
        """What one row of this batch weighs in a mean over the rows of the step."""
        return 0.0 if batch.dummy else 1 / sum(self.rows.values())

    def time_passes(self, batch: Batch, passes: Iterator[Pass]) -> Iterator[Pass]:
        """The passes of a micro-batch. Noted are the seconds in which they are sought, and those in which they train, of which
        plain training has the share of one view."""
        trained, views, seeking = [], 0, current_moment(self.device)
        for pass_ in passes:
            views += len(pass_.views)
            begin = current_moment(self.device)
            self.spans.append((seeking, begin, 1.0))
            yield pass_
            seeking = current_moment(self.device)
            trained.append((begin, seeking))
        self.spans.append((seeking, current_moment(self.device), 1.0))
        self.spans.extend((begin, end, 1 - 1 / views) for begin, end in trained)

    @torch.no_grad()
    def add(self, pass_: Pass, share: float, loss: Tensor, parts: Sequence[Tensor]) -> None:
        """Note a pass, what it minimised, and the losses of the task of each of its views."""
        weight = sum(pass_.weights)
        self.losses["loss"] += share * loss
        for name, perturbed in (("clean", False), ("perturbed", True)):
            losses = [part.sum() for view, part in zip(pass_.views, parts, strict=True) if view.perturbed == perturbed]
            if name == "clean" and pass_.loss_before is not None:
                losses = [pass_.loss_before]
            if losses:
                self.weights[name] += weight
                self.losses[name] += share * weight * sum(losses) / len(losses)

    @torch.no_grad()
    def add_trees(self, distance: Tensor, depth: Tensor, weight: float) -> None:
        """Note the losses of trees of a pass, each a part of its mean over the rows of the step; they count `weight`."""
        self.losses["loss"] += weight * (distance + depth)
        for name, value in ((DISTANCE, distance), (DEPTH, depth)):
            self.losses[name] = self.losses.get(name, torch.zeros_like(value)) + value

    def finish(self) -> None:
        self.ended = current_moment(self.device)

    def send(self) -> None:
        """Have the device send what is logged of the step, behind what it has been given to do so far."""
        self._names = [*self.losses, *self.statistics.sums]
        values = (*self.losses.values(), *self.statistics.sums.values())
        self._sent = Arriving(torch.stack([value.double() for value in values]))

    def means(self) -> dict[str, float]:
        """What is logged of the step, over all ranks; waits for no more than what the device had been given to do at
        `send`. Collective."""
        if self._sent is None:
            self.send()
        assert self._sent is not None
        whole = seconds_between(self.began, self.ended)
        robust = sum(share * seconds_between(begin, end) for begin, end, share in self.spans)
        whole, robust, *sums_sent = distributed.sum_of_hosts([whole, robust, *self._sent.values().tolist()])
        values = self._names
        sums = dict(zip(values, sums_sent, strict=True))
        means = {"train/loss": sums["loss"], **self.layout(), **robust_scalars(sums)}
        means |= {name: sums[name] for name in (DISTANCE, DEPTH) if name in sums}
        if not self.weights["perturbed"]:
            return means
        # Every micro-batch of every rank makes the same passes, so their weights are the same too.
        mean = {name: sums[name] * self.batches / weight for name, weight in self.weights.items() if weight}
        if "clean" in mean:
            means |= {"robust/loss_clean": mean["clean"], "robust/loss_gap": mean["perturbed"] - mean["clean"]}
        return means | {"robust/loss_perturbed": mean["perturbed"], "robust/seconds_share": robust / whole}


Moment = float | torch.cuda.Event


def current_moment(device: torch.device) -> Moment:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds_between(begin: Moment, end: Moment) -> float:
    """Between two moments; waits for the GPU."""
    if isinstance(begin, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000
    assert isinstance(begin, float)
    assert isinstance(end, float)
    return end - begin


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
        rank, size = distributed.rank(), self._sums.numel()
        placed = [0.0] * (size * distributed.world())
        placed[rank * size : (rank + 1) * size] = self._sums.flatten().tolist()
        of_all_ranks = distributed.sum_over_ranks(placed)
        return [of_all_ranks[low : low + size] for low in range(0, len(of_all_ranks), size)]

    def restore(self, state: list[list[float]]) -> None:
        """Resume from a `state`; that of other numbers of ranks goes to the first."""
        if len(state) == distributed.world():
            mine = state[distributed.rank()]
        else:
            mine = [sum(values) * (distributed.rank() == 0) for values in zip(*state, strict=True)]
        self._sums.copy_(torch.tensor(mine, dtype=torch.float64).view_as(self._sums))

    def send(self) -> Arriving:
        """Have the device send what was noted, and starts from scratch."""
        sent = Arriving(self._sums.flatten().clone())
        self._sums.zero_()
        return sent

    def means(self, sent: Arriving | None = None) -> dict[str, float]:
        """By task/language, for those that had a row, over all ranks: of what was sent, or of what there is. Collective."""
        totals = distributed.sum_of_hosts((sent or self.send()).values().tolist())
        pairs = zip(self.names, totals[0::2], totals[1::2], strict=True)
        return {name: losses / count for name, losses, count in pairs if count}
