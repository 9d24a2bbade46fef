"""FreeLB: every step of the ascent trains, so K steps cost K passes instead of K + 1.

    delta_0 in the ball; for k = 0 .. K-1 one pass at delta_k with weight 1 / K, whose backward also gives the ascent's
    gradient; delta_{k+1} as in ascent.py

Zhu et al. 2020 (arXiv 1909.11764). All K gradients are added up into one update. Radius: relative to the norm of the
embeddings in the ball. Differs: the start is uniform in the ball (theirs: a cube scaled to 0.58 of a separate radius), the
step is in units of the ball's radius, and the last, unused ascent step is not made. A row whose gradient is not finite falls
back to its clean input for the passes that follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from xdist.config.method import Method, StepCost, register
from xdist.config.robust import Ascending

if TYPE_CHECKING:
    from xdist.robust.passes import Context, Pass


class Free(Ascending, Method):
    """FreeLB: an ascent each of whose steps trains."""

    method: Literal["free"] = "free"
    steps: int = Field(3, ge=0, le=10_000, description="ascent steps, each of which trains")
    random_start: bool = Field(True, description="begin anywhere in the ball, not at its centre")

    @property
    def idle(self) -> bool:
        return not (self.radius and self.steps)

    def cost(self, before: StepCost, alone: bool) -> StepCost:
        kept = 1 - 1 / self.every
        moved = before.moved * kept + before.trained * self.steps / self.every
        return replace(before, clean=before.clean * kept, moved=moved)

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        from xdist.robust.ascent import Ascent

        for one in before:
            if context.step % self.every:
                yield one
                continue
            ascents = [Ascent(self, view.batch, context) for view in one.views]
            for step in range(self.steps):
                for ascent in ascents:
                    ascent.delta.requires_grad_(step < self.steps - 1)
                views = tuple(ascent.shift_view(view) for ascent, view in zip(ascents, one.views, strict=True))
                yield replace(one.scaled(1 / self.steps), views=views)
                for ascent in ascents:
                    if (gradient := ascent.delta.grad) is not None:
                        ascent.climb(context.unscaled(gradient))
            for ascent in ascents:
                ascent.note(context)


register(Free)
