"""The least costly way to train that fits: what comes first in `ways` costs least time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from xdist.errors import UserError
from xdist.estimate.memory import Memory, Setting, memory, trained_in
from xdist.estimate.shapes import Shape
from xdist.run.ds_config import Offload
from xdist.tasks.limits import LOGITS

GB = 1e9
# What CUDA, NCCL and the allocator's gaps take. Judged, not measured.
SHARE, FIXED = 0.94, 1.5 * GB
SMALLEST, LARGEST, STEP = 4096, 32768, 1024  # tokens of a micro-batch; the smallest keeps a GPU busy
BUCKET = 100_000_000
MASKED = 0.15  # share of the tokens that a language model has to find


def usable(capacity: float) -> float:
    """Bytes that tensors may take on a device of `capacity` bytes."""
    return max(0.0, SHARE * capacity - FIXED)


def logits(shape: Shape, tokens: float) -> int:
    """Logits over all pieces that exist at once where this many tokens reach the head."""
    return min(round(tokens) * shape.pieces, max(LOGITS, shape.pieces))


def ways(ranks: int, bf16: bool) -> Iterator[tuple[int, bool, Offload]]:
    """ZeRO stage, gradient checkpointing, offload. Recomputing a layer costs a third more products; stage 3 sends half as much
    again, and with every inner forward pass; main memory is slowest."""
    # One rank has nothing to share: stage 0, or in 16 bits stage 2, which takes as much.
    stages = (1, 2) if ranks > 1 else (2,) if bf16 else (0,)
    for checkpointing in (False, True):
        yield from ((stage, checkpointing, "none") for stage in stages)
    if ranks > 1:
        yield from ((3, checkpointing, "none") for checkpointing in (False, True))
    for offload in ("optimizer", "all"):
        yield from ((3, checkpointing, offload) for checkpointing in (False, True))


def recommend(
    shape: Shape, start: Setting, capacity: float, *, tokens: int | None, step_tokens: float | None, views: float, head: float
) -> Setting:
    """The first of `ways` that fits `capacity` bytes. `tokens` of a micro-batch are given or made as many as fit, but no more
    than a rank has of the `step_tokens` of a step; `views` of a batch are held together, and a share `head` of the tokens
    reaches a head over all pieces. Raises UserError where nothing fits."""
    share = step_tokens / start.ranks if step_tokens else None
    most = LARGEST if share is None else max(STEP, min(LARGEST, -int(-share // STEP) * STEP))
    fewest = tokens or min(SMALLEST, most)
    bucket = min(BUCKET, trained_in(shape, start))

    def sized(setting: Setting, count: int) -> Setting:
        held = round(count * views)
        micro = max(1, -int(-share // count)) if share else setting.micro_batches
        return replace(setting, tokens=held, logits=logits(shape, head * held), micro_batches=micro, bucket=bucket)

    nearest: Memory | None = None
    for stage, checkpointing, offload in ways(start.ranks, start.bf16):
        way = replace(start, stage=stage, checkpointing=checkpointing, offload=offload)
        count = fewest
        found = memory(shape, sized(way, count))
        if found.total > usable(capacity):
            nearest = found if nearest is None or found.total < nearest.total else nearest
            continue
        while not tokens and count < most and memory(shape, sized(way, min(2 * count, most))).total <= usable(capacity):
            count = min(2 * count, most)
        return sized(way, count)
    assert nearest
    largest = max(nearest.parts().items(), key=lambda part: part[1])
    raise UserError(
        f"{shape.name} does not fit: {fewest} tokens need at least {nearest.total / GB:.1f} GB on each of {start.ranks} GPUs, "
        f"{largest[1] / GB:.1f} of them for {largest[0]}, and {usable(capacity) / GB:.1f} GB can be used; more GPUs, "
        "fewer --tokens-per-batch or --precision bf16 need less"
    )


def ds_config(shape: Shape, setting: Setting) -> dict[str, Any]:
    """What a file of ds_configs/ would say."""
    zero: dict[str, Any] = {"stage": setting.stage}
    if setting.stage:
        zero["reduce_bucket_size"] = setting.bucket
    if setting.stage in (1, 2):
        zero |= {"allgather_bucket_size": setting.bucket, "contiguous_gradients": True}
    if setting.stage == 3:
        zero |= {
            "stage3_prefetch_bucket_size": min(setting.bucket, 50_000_000),
            "stage3_param_persistence_threshold": 100_000,
            "stage3_max_live_parameters": setting.live,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    if setting.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if setting.offload == "all":
        zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    return {"zero_optimization": zero}
