"""Consistency: the perturbed input must be predicted as the clean one is.

    update = clean * loss(x) + (1 - clean) * loss(x') + weight * [KL(p(x) || p(x')) + KL(p(x') || p(x))]

x' is what the methods before it in the list made of x: shifted, rewritten, or both, each of several passes or draws on its
own. Where it is the only method x' = x + z, z uniform in (-scale, scale) or Gaussian, on the input embeddings: R3F (arXiv
2008.03156, scale 1e-5, weight 0.1 to 5). With rewritten text and `stop_gradient` it is the example consistency of xTune (arXiv
2106.08226), and after `adversarial` with loss `kl` SMART's regulariser (arXiv 1911.03437). Divergences are summed over classes
and averaged over examples, words, or windows (start plus end); xTune's published weight 5 averages over classes too: 2.5 here
for two classes. `scale` is absolute, as in R3F, and lost in bf16's rounding where the embeddings are larger than 256 scales.
Differs: special tokens stay clean, no spectral normalisation (R4F), no teacher (xTune's second stage).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from xdist.config.method import Method, StepCost, register
from xdist.config.robust import Distribution

if TYPE_CHECKING:
    from torch import Tensor

    from xdist.robust.passes import Context, Pass
    from xdist.tasks.batch import Batch


class Consistency(Method):
    """On top of the methods before it in a list; alone it uses its own small noise, as R3F does."""

    earlier: ClassVar = {"noise": {"normal": "gaussian"}}
    comes_last = "it compares the clean input with what the methods before it made"

    method: Literal["consistency"] = "consistency"
    weight: float = Field(
        1.0, ge=0, le=1e6, description="of the symmetric KL divergence between clean and perturbed prediction"
    )
    stop_gradient: bool = Field(False, description="each direction teaches only the side that is the second argument")
    clean: float = Field(1.0, ge=0, le=1, description="share of the clean input in the task's loss")
    noise: Distribution = Field("uniform", description="what is added to the embeddings where it is the only method")
    scale: float = Field(1e-5, ge=0, le=1000, description="of that noise, absolute: half its width, or its standard deviation")
    same_dropout: bool = Field(False, description="all forwards of a micro-batch draw the same dropout masks")

    @property
    def idle(self) -> bool:
        return not self.weight

    @property
    def compares(self) -> bool:
        return True

    @property
    def leaves_inputs(self) -> bool:
        return not self.idle and not self.scale

    @property
    def compares_rows(self) -> bool:
        return True

    def cost(self, before: StepCost, alone: bool) -> StepCost:
        moved, clean = (before.trained, 0.0) if alone else (before.moved, before.clean)
        return replace(before, clean=clean, moved=2 * moved, views=2.0 if moved else 1.0)

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        from xdist.tasks.batch import View

        alone, rewritten = len(context.methods) == 1, any(method.rewrites for method in context.methods)
        for one in before:
            views = one.views
            if alone:
                views = tuple(view.shifted("input", self._noise(view.batch, context)) for view in views)
            if not rewritten and not any(view.shifts or view.mixture for view in views):
                yield one  # a step that the methods before leave plain
                continue
            whole = sum(one.weights)
            yield replace(
                one,
                views=(View(views[0].batch.plain or views[0].batch), *views),
                weights=(self.clean * whole, *one.scaled(1 - self.clean).weights),
                consistency=self.weight * whole,
                stop_gradient=self.stop_gradient,
            )

    def _noise(self, batch: Batch, context: Context) -> Callable[[Tensor], Tensor]:
        import torch

        from xdist.robust.noise import gaussian, uniform

        def delta(states: Tensor) -> Tensor:
            free, (seed, step, number) = ~torch.isin(batch.tokens, context.special_ids)[:, None], context.key()
            if self.noise == "gaussian":
                drawn = gaussian(batch, states.shape[-1], seed, step, 8 * number)
            else:
                drawn = 2 * uniform(batch, states.shape[-1], seed, step, 16 * number) - 1
            return self.scale * drawn * free

        return delta


register(Consistency)
