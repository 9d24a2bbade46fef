"""Cross-entropy over a vocabulary so large that the logits of all positions would not fit: some positions at a time.

The gradient is taken while the logits of a part exist, so nothing is computed twice and none of them are kept: three
matrix products a part, as in the plain way, whose logits, probabilities and their gradient take 3 GB for a thousand positions
of XLM-R in fp32. The plain way is `cross_entropy(linear(states, weight, bias).float(), labels, reduction="none")`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from xdist import private
from xdist.tasks.limits import LOGITS

_states_alone = False


@contextmanager
def of_states_alone() -> Iterator[None]:
    """Inside, of what `cross_entropies` gives only the gradient of the states can be computed: what looks at the model and
    trains nothing needs no product for the matrix, the largest of the three."""
    global _states_alone
    before, _states_alone = _states_alone, True
    try:
        yield
    finally:
        _states_alone = before


def cross_entropies(states: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, logits: int = LOGITS) -> Tensor:
    """(n,) the cross-entropy, fp32, of each of `labels` (n,) under states (n, d), weight (V, d) and bias (V,), of which at most
    `logits` logits, but no less than one position's, exist at once. What is minimised must be their sum, times a number."""
    rows = max(1, logits // len(weight))
    if _states_alone:
        weight, bias = weight.detach(), bias.detach()
    arguments = (states, weight, bias, labels, rows, torch.is_grad_enabled())
    losses: Tensor = _CrossEntropies.apply(*arguments)  # type: ignore[no-untyped-call]
    return losses


# Of the gradient while it has 16 bits: most probabilities over a large vocabulary are smaller than fp16 knows, and the scale of
# the loss comes only later, in the backward pass.
IN_FP16 = 64.0


class _CrossEntropies(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, rows: int, differentiable: bool
    ) -> Tensor:
        wanted = [differentiable and needed for needed in ctx.needs_input_grad[:3]]
        losses = torch.empty(len(labels), dtype=torch.float32, device=states.device)
        # Sums over parts are kept in fp32, also where the weights are not.
        of_states = torch.empty_like(states) if wanted[0] else None
        of_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else None
        of_bias = torch.zeros_like(bias, dtype=torch.float32) if wanted[2] else None
        for low in range(0, len(labels), rows):
            part, targets = states[low : low + rows], labels[low : low + rows, None]
            logits = linear(part, weight, bias).float()
            normaliser = logits.logsumexp(-1, keepdim=True)
            losses[low : low + rows] = (normaliser - logits.gather(1, targets))[:, 0]
            if not any(wanted):
                continue
            gradient = logits.sub_(normaliser).exp_()
            gradient.scatter_add_(1, targets, torch.full_like(targets, -1, dtype=gradient.dtype))
            if of_bias is not None:
                of_bias += gradient.sum(0) * (IN_FP16 if weight.dtype == torch.float16 else 1.0)
            gradient = (gradient * IN_FP16).half() if weight.dtype == torch.float16 else gradient.to(weight.dtype)
            if of_states is not None:
                of_states[low : low + rows] = gradient @ weight
            if of_weight is not None and weight.dtype == torch.float32:
                of_weight.addmm_(gradient.T, part)
            elif of_weight is not None:
                of_weight += gradient.T @ part
        kept = [value for value in (of_states, of_weight, of_bias) if value is not None]
        ctx.save_for_backward(*kept)
        ctx.wanted, ctx.dtypes = wanted, (states.dtype, weight.dtype, bias.dtype)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scales: Tensor) -> tuple[Tensor | None, ...]:
        scale = scales[0] if len(scales) else scales.sum()
        private.assert_later((scales == scale).all())  # the gradient that was taken is that of the sum
        if ctx.dtypes[1] == torch.float16:
            scale = scale / IN_FP16
        kept = iter(ctx.saved_tensors)
        found = [
            (next(kept) * scale).to(dtype) if wanted else None for wanted, dtype in zip(ctx.wanted, ctx.dtypes, strict=True)
        ]
        return (*found, None, None, None)
