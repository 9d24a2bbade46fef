"""Adversarial training: the worst shift of the input embeddings inside a ball, then one training pass on it.

    delta_K  as ascent.py climbs to it in K steps, on the task's loss or on KL(p(clean) || p(clean + delta))
    update   (1 - clean) * loss at delta_K + clean * loss of the clean input

Projected gradient ascent of Madry et al. 2018 (arXiv 1706.06083) at the site of FreeLB (arXiv 1909.11764); K = 1 from 0 is
FGM (Miyato et al. 2017, arXiv 1605.07725). The KL ascent is that of TRADES (arXiv 1901.08573) and SMART (arXiv 1911.03437):
the clean side is taken as given; followed by `consistency` the update has their divergence too. As a defence for zero-shot
transfer: arXiv 2104.08645, which publishes none of its constants. Radius: relative to the norm of the embeddings in the ball;
robust/radius is its absolute mean. Differs: balls per row (never per batch), no proximal term (SMART).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from xdist.config.method import Method, StepCost, register
from xdist.config.robust import Ascending

if TYPE_CHECKING:
    from torch import Tensor

    from xdist.robust.passes import Context, Pass
    from xdist.tasks.batch import View


class Adversarial(Ascending, Method):
    """Projected gradient ascent; `consistency` after it trains on the divergence from the clean prediction too."""

    method: Literal["adversarial"] = "adversarial"
    loss: Literal["task", "kl"] = Field("task", description="what the ascent climbs; kl: divergence from the clean prediction")
    clean: float = Field(0.0, ge=0, lt=1, description="share of the loss of the unperturbed input in the update")

    @model_validator(mode="after")
    def _somewhere_to_go(self) -> Adversarial:
        if self.loss == "kl" and not self.random_start:
            raise ValueError("loss: kl needs random_start: true; at the clean input its gradient is 0")
        return self

    @property
    def idle(self) -> bool:
        return not (self.radius and self.steps)

    @property
    def compares(self) -> bool:
        return self.loss == "kl"

    def cost(self, before: StepCost, alone: bool) -> StepCost:
        perturbed = before.trained / self.every
        kept = 1.0 if self.clean else 1 - 1 / self.every
        return replace(
            before,
            clean=before.clean * kept,
            moved=before.moved * kept + perturbed,
            looked=before.looked + perturbed * (self.steps + (self.loss == "kl")),
            climbed=before.climbed + perturbed * self.steps,
        )

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        for one in before:
            if context.step % self.every:
                yield one
                continue
            views, losses = zip(*(self._worst(view, context) for view in one.views), strict=True)
            if self.clean:
                yield one.scaled(self.clean)
            yield replace(one.scaled(1 - self.clean), views=views, loss_before=sum(losses) / len(losses))

    def _worst(self, view: View, context: Context) -> tuple[View, Tensor]:
        """`view` shifted to where its loss is high, and its summed loss before."""
        import torch

        from xdist.robust.ascent import Ascent
        from xdist.robust.divergence import kl

        ascent = Ascent(self, view.batch, context)
        before = clean = None
        if self.loss == "kl":
            with torch.no_grad():
                (outputs,) = context.outputs(view)
                before, clean = context.family.loss(outputs, view.batch), context.family.log_probabilities(outputs, view.batch)
        for _ in range(self.steps):
            ascent.delta.requires_grad_()
            (outputs,) = context.outputs(ascent.shift_view(view))
            if clean is None:
                loss = context.family.loss(outputs, view.batch)
            else:
                loss = kl(clean, context.family.log_probabilities(outputs, view.batch))
            before = loss.detach() if before is None else before
            ascent.climb(context.slope(loss, ascent.delta))
        ascent.note(context)
        assert before is not None
        return ascent.shift_view(view), before


register(Adversarial)
