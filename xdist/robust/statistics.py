"""What robust training has to say about a step: sums that stay on the device until the step is logged."""

import torch
from torch import Tensor

from xdist.robust.ball import Ball
from xdist.tasks.batch import WordCounts

SUMS = ("delta_norm", "radius", "balls", "skipped", "changed_words", "words", "too_long")


class Statistics:
    """Sums over this rank's micro-batches."""

    def __init__(self, device: torch.device) -> None:
        self.sums = dict(zip(SUMS, torch.zeros(len(SUMS), device=device).unbind(), strict=True))

    @torch.no_grad()  # under gradient checkpointing embeddings require gradients, and sums would keep their graphs
    def note_move(self, ball: Ball, delta: Tensor) -> None:
        """Note how far `delta` (T, d) reaches into its balls, those that hold a token that may move."""
        inside = torch.zeros(ball.groups, device=delta.device).index_add(0, ball.group, ball.free[:, 0]) > 0
        radius = torch.zeros(ball.groups, device=delta.device).scatter_reduce(0, ball.group, ball.radius[:, 0], "amax")
        self.sums["delta_norm"] += (ball.sizes(delta) * inside).sum()
        self.sums["radius"] += (radius * inside).sum()
        self.sums["balls"] += inside.sum()

    @torch.no_grad()
    def count_skipped(self, rows: Tensor) -> None:
        """Count the rows, (R,) bool, that fell back to their clean input."""
        self.sums["skipped"] += rows.sum()

    def count_rewritten(self, words: WordCounts) -> None:
        self.sums["changed_words"] += words.changed
        self.sums["words"] += words.seen
        self.sums["too_long"] += words.too_long


def logged_scalars(sums: dict[str, float]) -> dict[str, float]:
    """What is logged, from sums over all ranks; what did not happen is left out."""
    found: dict[str, float] = {}
    if sums["balls"]:
        found["robust/delta_norm"] = sums["delta_norm"] / sums["balls"]
        found["robust/radius"] = sums["radius"] / sums["balls"]
        found["robust/skipped"] = sums["skipped"]
    if sums["words"]:
        found["robust/changed_words"] = sums["changed_words"] / sums["words"]
        found["robust/words_without_room"] = sums["too_long"] / sums["words"]
    return found
