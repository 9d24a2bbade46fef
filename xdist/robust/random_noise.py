"""Randomized smoothing with random perturbation: train where noise has moved the states.

    update = mean over m draws of the loss at states + noise,   noise uniform in the ball, or Gaussian of that size

RS-RP of arXiv 2104.08645, which publishes none of its constants; a public reading of it has place `last`, norm `linf`, 3 draws.
States: (T, d) input embeddings, output of the embedding layer, or last hidden states. Radius: relative to the norm of the
states in the ball, everywhere in the model; robust/radius is its absolute mean. Draws at `last` share the encoder's work.
Differs: noise is a function of (seed, step, row), and moves special tokens only with `perturb_special`: at `last` under a head
that reads the first token alone, nothing happens without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from xdist.config.method import Method, StepCost, register
from xdist.config.robust import Noise

if TYPE_CHECKING:
    from torch import Tensor

    from xdist.robust.ball import Ball
    from xdist.robust.passes import Context, Pass
    from xdist.tasks.batch import View


class Random(Noise, Method):
    """Noise drawn from a ball."""

    method: Literal["random"] = "random"

    @property
    def idle(self) -> bool:
        return not self.radius

    def cost(self, before: StepCost, alone: bool) -> StepCost:
        return before if self.place == "last" else replace(before, clean=0.0, moved=before.trained * self.draws)

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        draws = self.draws
        for one in before:
            moved = [tuple(self._add_noise(view, context, draw) for view in one.views) for draw in range(draws)]
            if self.place == "last":
                views, weights = tuple(view for views in moved for view in views), one.scaled(1 / draws).weights * draws
                yield replace(one, views=views, weights=weights)
                continue
            for views in moved:
                yield replace(one.scaled(1 / draws), views=views)

    def _add_noise(self, view: View, context: Context, draw: int) -> View:
        from xdist.robust.noise import noise

        def note(ball: Ball, delta: Tensor) -> None:
            if not view.batch.dummy:
                context.statistics.note_move(ball, delta)

        return view.shifted(self.place, noise(self, view.batch, context.special_ids, context.key(draw), note))


register(Random)
