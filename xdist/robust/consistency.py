"""Consistency: the perturbed input must be predicted as the clean one is.

    update = clean * loss(x) + (1 - clean) * loss(x') + weight * [KL(p(x) || p(x')) + KL(p(x') || p(x))]

x' is what the methods before it in the list made of x: shifted, rewritten, or both, each of several passes or draws on its
own. Where it stands alone x' = x + z, z uniform in (-scale, scale) or normal, on the input embeddings: R3F (arXiv 2008.03156,
scale 1e-5, weight 0.1 to 5). With rewritten text and `stop_gradient` it is the example consistency of xTune (arXiv
2106.08226), and after `adversarial` with loss `kl` SMART's regulariser (arXiv 1911.03437). Divergences are summed over classes
and averaged over examples, words, or windows (start plus end); xTune's published weight 5 averages over classes too: 2.5 here
for two classes. `scale` is absolute, as in R3F, and lost in bf16's rounding where the embeddings are larger than 256 scales.
Differs: special tokens stay clean, no spectral normalisation (R4F), no teacher (xTune's second stage).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from xdist.config import robust as options
from xdist.robust.draws import DRAWS
from xdist.robust.noise import gaussian, uniform
from xdist.robust.passes import Context, Pass
from xdist.tasks.batch import Batch, View


class Consistency:
    """`alone`: no method before it perturbs anything."""

    def __init__(
        self, section: options.Consistency, seed: int, special_ids: Tensor, stage: int = 0, *, alone: bool, rewritten: bool
    ) -> None:
        self.section, self.seed, self.special_ids, self.stage = section, seed, special_ids, stage
        self.alone, self.rewritten = alone, rewritten

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        section = self.section
        for one in before:
            views = one.views
            if self.alone:
                views = tuple(view.shifted("input", self._noise(view.batch, context.step)) for view in views)
            if not self.rewritten and not any(view.shifts for view in views):
                yield one  # a step that the methods before leave plain
                continue
            whole = sum(one.weights)
            yield replace(
                one,
                views=(View(views[0].batch.plain or views[0].batch), *views),
                weights=(section.clean * whole, *one.scaled(1 - section.clean).weights),
                consistency=section.weight * whole,
                stop_gradient=section.stop_gradient,
            )

    def _noise(self, batch: Batch, step: int) -> Callable[[Tensor], Tensor]:
        def delta(states: Tensor) -> Tensor:
            free, number = ~torch.isin(batch.tokens, self.special_ids)[:, None], self.stage * DRAWS
            if self.section.noise == "normal":
                drawn = gaussian(batch, states.shape[-1], self.seed, step, 8 * number)
            else:
                drawn = 2 * uniform(batch, states.shape[-1], self.seed, step, 16 * number) - 1
            return self.section.scale * drawn * free

        return delta
