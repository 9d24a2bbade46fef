"""Randomized smoothing with random perturbation: train where noise has moved the states.

    update = mean over m draws of the loss at states + noise,   noise uniform in the ball, or Gaussian of that size

RS-RP of arXiv 2104.08645, which publishes none of its constants; a public reading of it has place `last`, norm `linf`, 3 draws.
States: (T, d) input embeddings, output of the embedding layer, or last hidden states. Radius: relative to the norm of the
states in the ball, wherever they are; robust/radius is its absolute mean. Draws at `last` share the encoder's work. Differs:
noise is a function of (seed, step, row), and moves special tokens only with `perturb_special`: at `last` under a head that
reads the first token alone, nothing happens without it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from torch import Tensor

from xdist.config import robust as options
from xdist.robust.ball import Ball, ball_round
from xdist.robust.draws import DRAWS, gaussian_round, uniform_in
from xdist.robust.passes import Context, Pass
from xdist.tasks.batch import Batch, View


class Random:
    def __init__(self, section: options.Random, seed: int, special_ids: Tensor, stage: int = 0) -> None:
        self.section, self.seed, self.special_ids, self.stage = section, seed, special_ids, stage

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        draws = self.section.draws
        for one in before:
            moved = [tuple(self._moved(view, context, draw) for view in one.views) for draw in range(draws)]
            if self.section.place == "last":
                views, weights = tuple(view for views in moved for view in views), one.scaled(1 / draws).weights * draws
                yield replace(one, views=views, weights=weights)
                continue
            for views in moved:
                yield replace(one.scaled(1 / draws), views=views)

    def _moved(self, view: View, context: Context, draw: int) -> View:
        def note(ball: Ball, delta: Tensor) -> None:
            if not view.batch.dummy:
                context.statistics.moved(ball, delta)

        key = (self.seed, context.step, self.stage * DRAWS + draw)
        return view.shifted(self.section.place, noise(self.section, view.batch, self.special_ids, key, note))


def noise(
    section: options.Noise,
    batch: Batch,
    special_ids: Tensor,
    key: tuple[int, int, int],
    note: Callable[[Ball, Tensor], None] = lambda ball, delta: None,
) -> Callable[[Tensor], Tensor]:
    """From states (T, d) to their noise (T, d), drawn by `key` (seed, step, number)."""
    draw = gaussian_round if section.distribution == "gaussian" else uniform_in

    def delta(states: Tensor) -> Tensor:
        ball = ball_round(states, batch, special_ids, section)
        drawn = draw(ball, batch, states.shape[-1], *key)
        note(ball, drawn)
        return drawn

    return delta
