"""What the start of a run says of its model, each in one line."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from xdist.config.method import Method
from xdist.model import packed
from xdist.model.kinds import kind_of
from xdist.model.model import Model

KERNELS = {
    packed.FLASH: "by the bounds of sequences, with flash_attn",
    packed.VARLEN: "by the bounds of sequences, with PyTorch's varlen_attn",
    packed.BUCKETS: "in padded buckets, with PyTorch's scaled_dot_product_attention",
}


def attention_remark(model: Model, device: str) -> str:
    """Which kernel attention runs on, on this kind of device, and what would make it another."""
    config: Any = model.encoder.config
    if not model.packed:
        why = "as runtime.attention says" if kind_of(config).packs else f"as type '{config.model_type}' needs it"
        how = getattr(config, "_attn_implementation", None) or "eager"
        return f"attention: padded, {why}, with transformers' {how}"
    share = float(getattr(config, kind_of(config).attention_dropout)) if model.training else 0.0
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dtype = model.encoder.dtype
    found = packed.choose_kernel(device, dtype, width, share)
    line = f"attention: {KERNELS[found]}"
    better = packed.choose_kernel(device, dtype, width, 0.0)
    if found != better:
        line += (
            f", slower: dropout of {share:g} in attention needs flash_attn, which is not installed (the extra 'gpu'); "
            f"model.attention_dropout=0 would have it run {KERNELS[better]}"
        )
    return line


def has_dropout(model: Model) -> bool:
    """Whether two forward passes of one batch in training may differ: whether any dropout draws."""
    config = model.encoder.config
    shares = [getattr(config, name, None) for name in kind_of(config).dropouts]
    of_heads = [part.p for part in model.heads.modules() if isinstance(part, nn.Dropout)]
    return any([*shares, *of_heads])


def compares_equals(model: Model, methods: Sequence[Method]) -> bool:
    """Whether training compares two passes in which nothing differs: a method alone, that adds nothing, without dropout."""
    if len(methods) != 1 or not methods[0].leaves_inputs:
        return False
    return methods[0].one_dropout or not has_dropout(model)
