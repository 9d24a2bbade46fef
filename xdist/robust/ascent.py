"""A shift of the input embeddings on its way up the loss, inside a ball: what `adversarial` and `free` share.

    delta_0     = 0, or drawn uniformly from the ball (`random_start`)
    delta_{k+1} = project(delta_k + alpha * direction(gradient of the loss with respect to delta_k))
    alpha       = step_size * radius / K

A row whose gradient or shift is not finite anywhere falls back to its clean input for good: delta = 0.
"""

import torch
from torch import Tensor

from xdist.config.robust import Ascending
from xdist.robust.ball import ball_round
from xdist.robust.noise import uniform_in
from xdist.robust.passes import Context
from xdist.tasks.batch import Batch, View


class Ascent:
    """`delta` (T, d) fp32 in the order of the batch's tokens; 0 on tokens that may not move."""

    def __init__(self, options: Ascending, batch: Batch, context: Context) -> None:
        self.batch = batch
        with torch.no_grad():
            vectors = context.embedding(batch.tokens).float()
        self.ball = ball_round(vectors, batch, context.special_ids, options)
        self.stride = options.step_size * self.ball.radius / options.steps
        self.failed = torch.zeros(len(batch.row_ids), dtype=torch.bool, device=vectors.device)
        start = torch.zeros_like(vectors)
        if options.random_start:
            start = uniform_in(self.ball, batch, vectors.shape[-1], *context.key())
        self.delta = self._sound(start, start)

    def climb(self, gradient: Tensor) -> None:
        """One step in the direction of `gradient` (T, d), fp32."""
        moved = self.ball.project(self.delta.detach() + self.stride * self.ball.direction(gradient))
        self.delta = self._sound(moved, gradient)

    def note(self, context: Context) -> None:
        if not self.batch.dummy:
            context.statistics.note_move(self.ball, self.delta.detach())
            context.statistics.count_skipped(self.failed)

    def shift_view(self, view: View) -> View:
        return view.shifted("input", self.delta)

    def _sound(self, delta: Tensor, gradient: Tensor) -> Tensor:
        broken = ~(delta.isfinite() & gradient.isfinite()).all(-1) & (self.ball.free[:, 0] > 0)
        rows = torch.zeros(len(self.failed), device=delta.device).index_add(0, self.batch.token_row, broken.float())
        self.failed = self.failed | (rows > 0)
        return torch.where(self.failed[self.batch.token_row, None], 0, delta)
