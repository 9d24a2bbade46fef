"""Attention without padding: all tokens of a micro-batch in one row, each sequence attending to itself alone.

Registered with transformers as a separate attention, so encoders run unchanged: every layer but attention sees T real
tokens, (1, T, d). A call without a packing (a padded call of the encoder by other code) is transformers' sdpa.

On CUDA in half precision the kernel is flash attention over sequence bounds: `flash_attn` where installed, else PyTorch's
`varlen_attn`, which has no dropout. Everywhere else, and with that dropout, sequences of similar length are padded in buckets
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


def has_flash_attn() -> bool:
    return flash_attn_varlen_func is not None


def can_pack(config: PretrainedConfig) -> bool:
    """Whether an encoder of this configuration can do without padding."""
    absolute = getattr(config, "position_embedding_type", None) in (None, "absolute")
    return kind_of(config).packs and absolute and not getattr(config, "is_decoder", False)


def enable_packing(encoder: PreTrainedModel) -> None:
    """Give the encoder's layers the attention of this file."""
    encoder.set_attn_implementation(NAME)


def packed_inputs(encoder: PreTrainedModel, batch: Batch) -> dict[str, Any]:
    """What the encoder is called with to see the tokens of `batch` in one row. Positions restart with every sequence: as in
    the padded layout they count from 0, or in the kin of RoBERTa what is not padding from the padding's id + 1."""
    kind, positions = kind_of(encoder.config), batch.positions
    if kind.positions == "after padding":
        pad = encoder.config.pad_token_id
        real = (batch.tokens != pad).long()
        counted = torch.cumsum(real, 0)
        before = (counted - real)[batch.starts]
        positions = (counted - before[batch.token_sequence]) * real + pad
    found = {"input_ids": batch.tokens[None], "position_ids": positions[None], "packing": batch.packing}
    if kind.segments:
        types = segments.segments_of(encoder, batch)
        # Zeros are said too: else they are looked up by place in the row, which may be too long.
        found["token_type_ids"] = (torch.zeros_like(batch.tokens) if types is None else types)[None]
    if hasattr(encoder.config, "layer_types"):
        # A mapping is taken as it is: without one, masks over all pairs of the row would be made, a local one for its windows.
        found["attention_mask"] = dict.fromkeys(encoder.config.layer_types)
    return found


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    packing: Packing | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Called by each layer with `query` (1, H, T, D), `key` and `value` (1, K, T, D), of which groups of H / K heads share one;
    gives (1, T, H, D). Places i and j of a sequence see each other where abs(i - j) < `sliding_window`, None: always."""
    if packing is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    assert attention_mask is None  # it would be over all pairs of the row
    rows = (query.transpose(1, 2)[0], key.transpose(1, 2)[0], value.transpose(1, 2)[0])
    way = (
        attend_by_bounds
        if choose_kernel(query.device.type, query.dtype, query.shape[-1], dropout) != BUCKETS
        else attend_by_buckets
    )
    return way(rows, packing, dropout, scaling, sliding_window)[None], None


FLASH, VARLEN, BUCKETS = "flash_attn", "varlen_attn", "buckets"


def choose_kernel(device: str, dtype: torch.dtype, width: int, dropout: float) -> str:
    """Which of FLASH, VARLEN and BUCKETS packed attention runs on: for heads of `width`, and with this dropout in attention."""
    if device != "cuda" or dtype not in (torch.bfloat16, torch.float16) or width % 8 or width > 256:
        return BUCKETS
    if flash_attn_varlen_func:
        return FLASH
    return BUCKETS if dropout else VARLEN


# Query, key and value: (T, H, D), and twice (T, K, D).
QueryKeyValue = tuple[Tensor, Tensor, Tensor]


def attend_by_bounds(
    rows: QueryKeyValue, packing: Packing, dropout: float, scaling: float | None, window: int | None
) -> Tensor:
    """(T, H, D) by a kernel that knows sequences by where they begin."""
    bounds, longest = packing.bounds, packing.longest
    reach = (-1, -1) if window is None else (window - 1, window - 1)  # the farthest place on each side, itself included
    if flash_attn_varlen_func:
        flash: Tensor = flash_attn_varlen_func(
            *rows,
            bounds,
            bounds,
            longest,
            longest,
            dropout_p=dropout,
            softmax_scale=scaling,
            window_size=reach,
            deterministic=torch.are_deterministic_algorithms_enabled(),  # a switch that only PyTorch's own kernels see
        )
        return flash
    assert not dropout
    grouped = rows[0].shape[1] != rows[1].shape[1]
    states = varlen_attn(*rows, bounds, bounds, longest, longest, scale=scaling, window_size=reach, enable_gqa=grouped)
    assert isinstance(states, Tensor)
    return states


def attend_by_buckets(
    rows: QueryKeyValue, packing: Packing, dropout: float, scaling: float | None, window: int | None
) -> Tensor:
    """(T, H, D) of sequences of similar length, padded."""
    sizes = [bucket.sequences * bucket.length for bucket in packing.buckets]
    spread = [_Spread.apply(states.flatten(1), packing).split(sizes) for states in rows]  # type: ignore[no-untyped-call]
    heads, width = rows[0].shape[1:]
    found = []
    for bucket, mask, *parts in zip(packing.buckets, packing.masks(window), *spread, strict=True):
        query, key, value = (part.view(bucket.sequences, bucket.length, -1, width).transpose(1, 2) for part in parts)
        if (groups := heads // key.shape[1]) > 1:  # not every kernel of PyTorch's takes groups
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        states = scaled_dot_product_attention(query, key, value, mask, dropout, scale=scaling)
        found.append(states.transpose(1, 2).flatten(2).flatten(0, 1))
    collected: Tensor = _Collect.apply(found[0] if len(found) == 1 else torch.cat(found), packing)  # type: ignore[no-untyped-call]
    return collected.view(-1, heads, width)


class _Spread(torch.autograd.Function):
    """(T, n) in the order of the row to (P, n) in that of the buckets. Nothing flows back from places without a token: as keys
    they are masked, and what they ask is dropped; so the gradient is another gather instead of a sum by index."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return states.view_as(states) if packing.in_order else states.index_select(0, packing.source)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient if ctx.packing.in_order else gradient.index_select(0, ctx.packing.place), None


class _Collect(torch.autograd.Function):
    """(P, n) in the order of the buckets to (T, n) in that of the row."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return states.view_as(states) if packing.in_order else states.index_select(0, packing.place)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        packing: Packing = ctx.packing
        if packing.in_order:
            return gradient, None
        return gradient.index_select(0, packing.source).index_fill(0, packing.empty, 0), None


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
