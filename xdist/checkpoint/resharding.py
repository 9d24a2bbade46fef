"""A checkpoint into an engine of another number of ranks or another ZeRO stage, bit for bit: weights, moments, counters."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from xdist.checkpoint.saved import MOMENTS, WEIGHT, Saved, read_saved
from xdist.checkpoint.tags import Tag
from xdist.engine.engine import Engine
from xdist.errors import UserError
from xdist.run import distributed

# A part of a parameter in this rank's optimizer: the parameter, where in it the part starts, the flat tensor that AdamW
# updates, where in that, and how many values.
Slot = tuple[nn.Parameter, int, Tensor, int, int]


def load_resharded(tag: Tag, engine: Engine, stage: int) -> dict[str, Any]:
    """Bring a fresh engine of `stage` to the saved step; returns the client state. Raises UserError. Collective."""
    saved = read_saved(tag)
    deepspeed = engine.deepspeed
    names = {id(parameter): name for name, parameter in engine.module.named_parameters()}
    missing = {name for group in engine.names for name in group} - saved.parameters.keys()
    if missing:
        raise UserError(f"{tag.path}: holds no weights for '{min(missing)}'")
    optimizer = getattr(deepspeed.optimizer, "optimizer", deepspeed.optimizer)  # itself at stage 0 in fp32
    for parameter, start, flat, offset, numel in _places(deepspeed.optimizer, stage):
        source = saved.parameters[names[id(parameter)]]
        state = _state(optimizer, flat, saved)
        for key in (WEIGHT, *MOMENTS):
            target = flat.data if key == WEIGHT else state[key]
            target.view(-1)[offset : offset + numel].copy_(source.cut(key, start, numel))
    _spread(deepspeed.optimizer, stage)
    common = saved.common
    deepspeed.lr_scheduler.load_state_dict(common["lr_scheduler"])
    for group, rate in zip(optimizer.param_groups, common["lr_scheduler"]["_last_lr"], strict=True):
        group["lr"] = rate
    for counter in ("global_steps", "global_samples", "skipped_steps"):
        setattr(deepspeed, counter, common[counter])
    distributed.barrier()
    return common


def _places(optimizer: Any, stage: int) -> Iterator[Slot]:
    if stage == 0:
        trained = [group["params"] for group in optimizer.param_groups]
        computing = getattr(optimizer, "fp16_groups", trained)  # in bf16 another tensor than AdamW updates
        for group, updated in zip(computing, getattr(optimizer, "fp32_groups", trained), strict=True):
            for parameter, flat in zip(group, updated, strict=True):
                yield parameter, 0, flat, 0, parameter.numel()
    elif stage == 3:
        if optimizer.swap_optimizer or optimizer.params_in_nvme_and_cpu:
            raise UserError("states on NVMe resume at the same ranks and stage only; use runtime.deepspeed=zero3_offload")
        rank, world = distributed.rank(), distributed.world()
        for group, flat in zip(optimizer.fp16_groups, optimizer.fp32_partitioned_groups_flat, strict=True):
            offset = 0
            for parameter in group:
                part = -(-parameter.ds_numel // world)
                there = max(0, min(part, parameter.ds_numel - rank * part))
                yield parameter, rank * part, flat, offset, there
                offset += part
    else:
        ours = hasattr(optimizer, "single_partition_of_fp32_groups")  # else DeepSpeed's BF16_Optimizer, for stage 1 in bf16
        groups = optimizer.bit16_groups if ours else optimizer.bf16_groups
        flats = optimizer.single_partition_of_fp32_groups if ours else optimizer.fp32_groups_flat_partition
        for group, flat in zip(groups, flats, strict=True):
            for parameter in group:
                if parameter._hp_mapping is not None:
                    inside, there = parameter._hp_mapping.lp_fragment_address, parameter._hp_mapping.hp_fragment_address
                    yield parameter, inside.start, flat, there.start, there.numel


def _state(optimizer: torch.optim.Optimizer, flat: Tensor, saved: Saved) -> dict[str, Any]:
    """AdamW's state of a flat tensor, as it would be after the saved updates, its moments still to be filled in."""
    state = optimizer.state[flat]
    if not all(key in state for key in MOMENTS):
        state.update({key: torch.zeros_like(flat.data) for key in MOMENTS})
    counts = isinstance(optimizer, torch.optim.AdamW)  # DeepSpeed's own AdamW counts in an int
    state["step"] = torch.tensor(float(saved.updates), device=flat.device) if counts else saved.updates
    return state


def _spread(optimizer: Any, stage: int) -> None:
    """From the fp32 weights that AdamW updates to the weights that the model computes with, on all ranks."""
    if stage == 0:
        for group, updated in zip(getattr(optimizer, "fp16_groups", ()), getattr(optimizer, "fp32_groups", ()), strict=True):
            for parameter, flat in zip(group, updated, strict=True):
                parameter.data.copy_(flat.data)
    elif stage in (1, 2):
        optimizer.update_lp_params()
    elif stage == 3:
        for group, flat in enumerate(optimizer.fp32_partitioned_groups_flat):
            optimizer.fp16_partitioned_groups_flat[group].data.copy_(flat.data)
            parts = optimizer.unflatten(optimizer.fp16_partitioned_groups_flat[group], optimizer.fp16_partitioned_groups[group])
            for parameter, part in zip(optimizer.fp16_partitioned_groups[group], parts, strict=True):
                parameter.data = part.data
        if optimizer.persistent_parameters:
            optimizer.persistent_parameters[0].partition(optimizer.persistent_parameters)
            optimizer.persistent_parameters[0].all_gather(optimizer.persistent_parameters)
