"""FreeLB: every step of the ascent trains, so K steps cost K passes instead of K + 1.

    delta_0 in the ball; for k = 0 .. K-1 one pass at delta_k with weight 1 / K, whose backward also gives the ascent's
    gradient; delta_{k+1} as in ascent.py

Zhu et al. 2020 (arXiv 1909.11764). All K gradients are added up into one update. Radius: relative to the norm of the
embeddings in the ball. Differs: the start is uniform in the ball (theirs: a cube scaled to 0.58 of a radius of its own), the
step is in units of the ball's radius, and the last, unused ascent step is not made. A row whose gradient is not finite falls
back to its clean input for the passes that follow.
"""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from xdist.config import robust as options
from xdist.robust.ascent import Ascent
from xdist.robust.passes import Context, Pass


class Free:
    def __init__(self, section: options.Free, seed: int, special_ids: Tensor, stage: int = 0) -> None:
        self.section, self.seed, self.special_ids, self.stage = section, seed, special_ids, stage

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        section = self.section
        for one in before:
            if context.step % section.every:
                yield one
                continue
            ascents = [Ascent(section, view.batch, context, self.seed, self.special_ids, self.stage) for view in one.views]
            for step in range(section.steps):
                for ascent in ascents:
                    ascent.delta.requires_grad_(step < section.steps - 1)
                views = tuple(ascent.shifted(view) for ascent, view in zip(ascents, one.views, strict=True))
                yield replace(one.scaled(1 / section.steps), views=views)
                for ascent in ascents:
                    if (gradient := ascent.delta.grad) is not None:
                        ascent.climb(gradient)
            for ascent in ascents:
                ascent.note(context)
