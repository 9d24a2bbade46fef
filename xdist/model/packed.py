"""Attention without padding: all tokens of a micro-batch in one row, each sequence attending to itself alone.

Registered with transformers as an attention of its own, so encoders run as they are: every layer but attention sees T real
tokens, (1, T, d). A call without a packing (anybody's padded call of the encoder) is transformers' sdpa.

On CUDA in half precision the kernel is flash attention over sequence bounds: `flash_attn` where installed, else PyTorch's
`varlen_attn`, which has no dropout. Everywhere else, and with that dropout, sequences of like length stand in padded buckets
inside attention only (xdist/tasks/packing.py).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from xdist.model import segments
from xdist.model.kinds import kind_of
from xdist.tasks.batch import Batch
from xdist.tasks.packing import Packing

try:
    from flash_attn import flash_attn_varlen_func
except ImportError:
    flash_attn_varlen_func = None

NAME = "packed"


def packs(config: PretrainedConfig) -> bool:
    """Whether an encoder of this configuration can do without padding."""
    absolute = getattr(config, "position_embedding_type", None) in (None, "absolute")
    return kind_of(config).packs and absolute and not getattr(config, "is_decoder", False)


def enable(encoder: PreTrainedModel) -> None:
    """Give the encoder's layers the attention of this file."""
    encoder.set_attn_implementation(NAME)


def inputs(encoder: PreTrainedModel, batch: Batch) -> dict[str, Any]:
    """What the encoder is called with to see the tokens of `batch` in one row. Positions restart with every sequence: as in
    the padded layout they count from 0, or in the kin of RoBERTa what is not padding from the padding's id + 1."""
    pad: int | None = getattr(encoder.embeddings, "padding_idx", None)  # type: ignore[union-attr]
    positions = batch.positions
    if pad is not None:
        real = (batch.tokens != pad).long()
        counted = torch.cumsum(real, 0)
        before = (counted - real)[batch.starts]
        positions = (counted - before[batch.token_sequence]) * real + pad
    found = segments.of(encoder, batch)
    # Zeros are said too: else they are looked up by place in the row, which may be too long.
    types = torch.zeros_like(batch.tokens) if found is None else found
    return {
        "input_ids": batch.tokens[None],
        "position_ids": positions[None],
        "token_type_ids": types[None],
        "packing": batch.packing,
    }


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packing: Packing | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Called by each layer with `query`, `key`, `value` (1, H, T, D); gives (1, T, H, D)."""
    if packing is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    rows = (query.transpose(1, 2)[0], key.transpose(1, 2)[0], value.transpose(1, 2)[0])
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and (flash_attn_varlen_func or not dropout):
        return _by_bounds(rows, packing, dropout, scaling)[None], None
    return _by_buckets(rows, packing, dropout, scaling)[None], None


# Query, key and value, each (T, H, D).
QueryKeyValue = tuple[Tensor, Tensor, Tensor]


def _by_bounds(rows: QueryKeyValue, packing: Packing, dropout: float, scaling: float | None) -> Tensor:
    bounds, longest = packing.bounds, packing.longest
    if flash_attn_varlen_func:
        return flash_attn_varlen_func(*rows, bounds, bounds, longest, longest, dropout_p=dropout, softmax_scale=scaling)
    states = varlen_attn(*rows, bounds, bounds, longest, longest, scale=scaling)
    assert isinstance(states, Tensor)
    return states


def _by_buckets(rows: QueryKeyValue, packing: Packing, dropout: float, scaling: float | None) -> Tensor:
    sizes = [bucket.sequences * bucket.length for bucket in packing.buckets]
    spread = [_Spread.apply(states.flatten(1), packing).split(sizes) for states in rows]
    heads = rows[0].shape[1:]
    found = []
    for bucket, *parts in zip(packing.buckets, *spread, strict=True):
        query, key, value = (part.view(bucket.sequences, bucket.length, *heads).transpose(1, 2) for part in parts)
        states = scaled_dot_product_attention(query, key, value, bucket.mask, dropout, scale=scaling)
        found.append(states.transpose(1, 2).flatten(2).flatten(0, 1))
    return _Collect.apply(found[0] if len(found) == 1 else torch.cat(found), packing).view(-1, *heads)


class _Spread(torch.autograd.Function):
    """(T, n) in the order of the row to (P, n) in that of the buckets. Nothing flows back from places without a token: as keys
    they are masked, and what they ask is dropped; so the gradient is another gather instead of a sum by index."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return states.view_as(states) if packing.in_order else states.index_select(0, packing.source)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return gradient if ctx.packing.in_order else gradient.index_select(0, ctx.packing.place), None


class _Collect(torch.autograd.Function):
    """(P, n) in the order of the buckets to (T, n) in that of the row."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return states.view_as(states) if packing.in_order else states.index_select(0, packing.place)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        packing: Packing = ctx.packing
        if packing.in_order:
            return gradient, None
        return gradient.index_select(0, packing.source).index_fill(0, packing.empty, 0), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
