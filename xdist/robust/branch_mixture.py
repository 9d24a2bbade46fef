"""Zero-shot-aware training: train on mixtures of branches too, as a language without one is read at test.

    update = loss(own branch) + weight * loss(sum over branches of w_b h_b),   w ~ Dirichlet(1, ..., 1)

The idea of arXiv 2202.13654, of whose mixtures nothing is published: Dirichlet weights, leaving the own branch out with
probability `drop` (w of the row's language is 0, the others have its share), one draw for each row and weight 1 are choices of
this package. Needs `model.branches`. h_b: (T, d), what branch b makes of the states below; lower layers are computed once.
Where labels have a teacher next to them (`train.distil`), so has the mixture. With one branch the mixture is that branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from xdist.config.method import Method, StepCost, register

if TYPE_CHECKING:
    from torch import Tensor

    from xdist.robust.passes import Context, Pass
    from xdist.tasks.batch import Batch


class BranchMixture(Method):
    """Each micro-batch once by the branches of its languages, and once by mixtures of all."""

    of_branches: ClassVar[bool] = True

    method: Literal["branch_mixture"] = "branch_mixture"
    weight: float = Field(1.0, ge=0, le=1e6, description="of the loss of the mixtures in addition to that of the own branches")
    drop: float = Field(0.5, ge=0, le=1, description="share of the rows whose mixture leaves their own branch out")

    @property
    def idle(self) -> bool:
        return not self.weight

    def cost(self, before: StepCost, alone: bool) -> StepCost:
        # As if a mixture took a complete pass: lower layers are shared, and top layers several times as many.
        return replace(before, moved=before.moved + before.trained, views=2 * before.views)

    def passes(self, before: Iterator[Pass], context: Context) -> Iterator[Pass]:
        for one in before:
            mixed = tuple(replace(view, mixture=partial(self._mixture, view.batch, context.key())) for view in one.views)
            yield replace(one, views=(*one.views, *mixed), weights=(*one.weights, *one.scaled(self.weight).weights))

    def _mixture(self, batch: Batch, key: tuple[int, int, int], own: Tensor) -> Tensor:
        """(R, branches) drawn by `key` (seed, step, number) for each row, whose own branches have weight 1 in `own`."""
        import torch

        from xdist.robust.noise import uniform

        (rows, count), (seed, step, number) = own.shape, key
        tokens = torch.arange(len(batch.tokens), device=own.device)
        first = tokens.new_full((rows,), len(tokens)).scatter_reduce(0, batch.token_row, tokens, "amin")
        drawn = uniform(batch, count + 1, seed, step, 16 * number)[first]
        # Exponential numbers over their sum are Dirichlet(1); none is 0, so that some branch is always left.
        weights = -torch.log1p(-drawn[:, :count].clamp(min=2.0**-25))
        if count > 1:
            left_out = (drawn[:, count:] < self.drop) & (own == 1)
            weights = weights.masked_fill(left_out, 0.0)
        return weights / weights.sum(1, keepdim=True)


register(BranchMixture)
