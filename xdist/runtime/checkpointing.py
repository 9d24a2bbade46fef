"""Whether layers are computed a second time in the backward pass, so that what is inside them need not be kept: it costs a
third more products, so only where training would not fit otherwise."""

from typing import Any

import torch

from xdist.config import Run
from xdist.data.pieces import training_pieces
from xdist.runtime import distributed, ds_config
from xdist.runtime.planning.flops import work
from xdist.runtime.planning.memory import Offload, Setting, memory
from xdist.runtime.planning.recommend import MASKED, logits, usable
from xdist.runtime.planning.shapes import Shape, shape_of

ZERO = {"bucket": "reduce_bucket_size", "live": "stage3_max_live_parameters"}  # by field of a Setting


def chosen(run: Run, backbone: str, config: dict[str, Any], rows: int | None) -> bool:
    """What the run says, or with `auto` what the memory of GPUs asks for: the same on all ranks. Main memory, which others
    use too, is not asked. `config` is DeepSpeed's, `rows` those of the embedding that are trained (None: all). Collective."""
    wanted, device = run.model.gradient_checkpointing, distributed.device()
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return False
    capacity = torch.cuda.get_device_properties(device).total_memory
    shape = shape_of(backbone)
    tight = needed(shape, setting(run, shape, config, rows, distributed.world()), capacity)
    return distributed.sum_over_ranks([float(tight)])[0] > 0


def needed(shape: Shape, without: Setting, capacity: float) -> bool:
    """Whether training as in `without`, which computes nothing twice, needs more than a device of `capacity` bytes has."""
    return memory(shape, without).total > usable(capacity)


def setting(run: Run, shape: Shape, config: dict[str, Any], rows: int | None, ranks: int) -> Setting:
    """The run as `ranks` ranks train it under DeepSpeed's `config` when nothing is computed twice."""
    zero = config.get("zero_optimization", {})
    tied = any(piece.task.family == "masked-lm" for piece in training_pieces(run))
    tokens = round(run.runtime.micro_batch_tokens * work(run.methods).views)
    offload: Offload = "all" if "offload_param" in zero else "optimizer" if "offload_optimizer" in zero else "none"
    return Setting(
        ranks=ranks,
        stage=int(zero.get("stage", 0)),
        bf16=ds_config.dtype(config) == torch.bfloat16,
        tokens=tokens,
        logits=logits(shape, MASKED * tied * tokens),
        tied=tied and not run.model.freeze_embeddings,
        micro_batches=2,  # gradients of earlier ones are kept
        offload=offload,
        trained_rows=0 if run.model.freeze_embeddings else rows,
        dropout=run.model.dropout != 0,
        **{name: zero[key] for name, key in ZERO.items() if isinstance(zero.get(key), int)},
    )
