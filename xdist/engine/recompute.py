"""Whether layers are computed a second time in the backward pass, so that what is inside them need not be kept: it costs a
third more products, so only where training would not fit otherwise."""

from collections.abc import Sequence
from typing import Any

import torch

from xdist.config import Model
from xdist.config.method import Method
from xdist.estimate.adapters import settings_of
from xdist.estimate.hours import work
from xdist.estimate.memory import Setting, memory
from xdist.estimate.recommend import MASKED, logits, usable
from xdist.estimate.shapes import Shape
from xdist.run import distributed
from xdist.run.ds_config import DeepSpeed


def recomputing_needed(shape: Shape, without: Setting) -> bool:
    """Whether the memory of any rank's GPU requires it: the same on all ranks. Main memory, which others use too, is not
    asked. `without`: how it would be trained with nothing computed twice. Collective."""
    tight = exceeds_capacity(shape, without, torch.cuda.get_device_properties(distributed.device()).total_memory)
    return distributed.sum_over_ranks([float(tight)])[0] > 0


def exceeds_capacity(shape: Shape, without: Setting, capacity: float) -> bool:
    """Whether training as in `without`, which computes nothing twice, needs more than a device of `capacity` bytes has."""
    return memory(shape, without).total > usable(capacity)


def memory_setting(
    shape: Shape,
    model: Model,
    methods: Sequence[Method],
    config: DeepSpeed,
    *,
    micro_batch_tokens: int,
    masked: bool,
    rows: int | None,
    ranks: int,
    anchor: bool = False,
) -> Setting:
    """Training by `ranks` ranks under DeepSpeed's `config` when nothing is computed twice. `masked`: with a language model
    among its tasks; `rows`: of the embedding that are trained (None: all); `anchor`: next to a frozen copy of the encoder."""
    tokens = round(micro_batch_tokens * work(methods).views)
    sizes: dict[str, Any] = {"bucket": config.bucket, "live": config.live}
    return Setting(
        ranks=ranks,
        stage=config.stage,
        bf16=config.half,
        tokens=tokens,
        logits=logits(shape, MASKED * masked * tokens),
        tied=masked and not model.embeddings_frozen,
        micro_batches=2,  # gradients of earlier ones are kept
        offload=config.offload,
        trained_rows=0 if model.embeddings_frozen else rows,
        dropout=model.dropout != 0,
        **settings_of(shape, model.adapter, model.syntax),
        frozen_layers=min(model.frozen_layers, shape.layers),
        anchor=anchor,
        **{name: size for name, size in sizes.items() if size is not None},
    )
