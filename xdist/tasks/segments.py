"""Softmax over segments of a flat tensor: the options of an example, the tokens of a window."""

import torch
from torch import Tensor


def log_softmax(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """Log-softmax of `values` (n,) or (n, k) along the first axis, within each of `count` segments; `segment` (n,) says
    which one an entry belongs to. Segments may differ in length."""
    index = segment if values.dim() == 1 else segment[:, None].expand_as(values)
    shape = (count, *values.shape[1:])
    # The largest value only keeps exp() in range; its own gradient cancels.
    largest = values.new_full(shape, -torch.inf).scatter_reduce(0, index, values.detach(), "amax")
    shifted = values - largest.gather(0, index)
    total = values.new_zeros(shape).scatter_add(0, index, shifted.exp())
    return shifted - total.log().gather(0, index)
