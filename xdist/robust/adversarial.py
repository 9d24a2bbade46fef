"""Adversarial training: the worst shift of the input embeddings inside a ball, then one training pass on it.

    delta_K  as ascent.py climbs to it in K steps, on the task's loss or on KL(p(clean) || p(clean + delta))
    update   (1 - clean) * loss at delta_K + clean * loss of the clean input

Projected gradient ascent of Madry et al. 2018 (arXiv 1706.06083) at the site of FreeLB (arXiv 1909.11764); K = 1 from 0 is
FGM (Miyato et al. 2017, arXiv 1605.07725). The KL ascent is that of TRADES (arXiv 1901.08573) and SMART (arXiv 1911.03437):
the clean side is taken as given; followed by `consistency` the update has their divergence too. As a defence for zero-shot
transfer: arXiv 2104.08645, which publishes none of its constants. Radius: relative to the norm of the embeddings in the ball;
robust/radius is its absolute mean. Differs: balls per row (never per batch), no proximal term (SMART).
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from xdist.config import robust as options
from xdist.robust.ascent import Ascent
from xdist.robust.divergence import kl
from xdist.robust.passes import Context, Pass
from xdist.tasks.batch import View


class Adversarial:
    def __init__(self, section: options.Adversarial, seed: int, special_ids: Tensor, stage: int = 0) -> None:
        self.section, self.seed, self.special_ids, self.stage = section, seed, special_ids, stage

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        for one in before:
            if context.step % self.section.every:
                yield one
                continue
            views, losses = zip(*(self._worst(view, context) for view in one.views), strict=True)
            if self.section.clean:
                yield one.scaled(self.section.clean)
            yield replace(one.scaled(1 - self.section.clean), views=views, loss_before=sum(losses) / len(losses))

    def _worst(self, view: View, context: Context) -> tuple[View, Tensor]:
        """`view` shifted to where its loss is high, and its summed loss before."""
        ascent = Ascent(self.section, view.batch, context, self.seed, self.special_ids, self.stage)
        before = clean = None
        if self.section.loss == "kl":
            with torch.no_grad():
                (outputs,) = context.outputs(view)
                before, clean = context.family.loss(outputs, view.batch), context.family.log_probabilities(outputs, view.batch)
        for _ in range(self.section.steps):
            ascent.delta.requires_grad_()
            (outputs,) = context.outputs(ascent.shifted(view))
            if clean is None:
                loss = context.family.loss(outputs, view.batch)
            else:
                loss = kl(clean, context.family.log_probabilities(outputs, view.batch))
            (gradient,) = torch.autograd.grad(loss, ascent.delta)
            before = loss.detach() if before is None else before
            ascent.climb(gradient)
        ascent.note(context)
        assert before is not None
        return ascent.shifted(view), before
