"""Every touch of what DeepSpeed and torch do not promise to keep, in one place, each with what it is for.

Checked against the versions in `CHECKED`, which a test compares with the pins: raise a pin, then read this file against the new
version, and run tests/distributed.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

CHECKED = {"deepspeed": "0.19.8", "torch": "2.13.0", "transformers": "5.23.0"}

WEIGHT, MOMENTS = "fp32", ("exp_avg", "exp_avg_sq")
_LINEAR = torch.nn.functional.linear


# torch


def assert_later(condition: Tensor) -> None:
    """Ends the program where `condition` (one truth value, on any device) is false, without waiting for the device now."""
    torch._assert_async(condition)


def scale(tensors: list[Tensor], factor: Tensor) -> None:
    """Multiplies all `tensors` by `factor` () in place in one go."""
    torch._foreach_mul_(tensors, factor)


# DeepSpeed, in the process


def load_muon_uncompiled() -> None:
    """DeepSpeed looks whether an optimizer is its Muon by importing that, which loads torch's compiler for kernels that nothing
    here runs: 1.4 s and 41 MB of every rank. Loaded before, without compiling, Muon costs nothing and is still found."""
    plain, torch.compile = torch.compile, lambda *_, **__: lambda function: function  # type: ignore[assignment]
    try:
        import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401
    finally:
        torch.compile = plain


def restore_linear() -> None:
    """ZeRO-3 puts a linear function that needs less memory in training, and sums to other last bits, instead of PyTorch's and
    leaves it there for the complete process; this puts PyTorch's back."""
    torch.nn.functional.linear = _LINEAR


def keep_from_nvml() -> None:
    """Where GPUs are named by UUID, DeepSpeed breaks when it asks NVML how much memory is free, which takes numbers; without
    NVML it asks torch."""
    from deepspeed.accelerator import cuda_accelerator

    cuda_accelerator.pynvml = None


def forget_shared_memory(rank: int) -> None:
    """Take its name from the shared memory of DeepSpeed's CPU collective, which every rank has mapped by now. DeepSpeed never
    does, so each start, ended well or killed, would keep 66 MB a rank of the machine's memory until it is switched off."""
    group = f"{os.getuid()}_{os.environ['MASTER_ADDR']}_{os.environ['MASTER_PORT']}"
    Path(f"/dev/shm/deepspeed_allreduce_buffer_{group}_{rank}").unlink(missing_ok=True)


def trains_in_fp16() -> bool:
    """Whether DeepSpeed takes fp16 on this device, and does not end with an error."""
    from deepspeed.accelerator import get_accelerator

    return bool(get_accelerator().is_fp16_supported())


def unlock_build(root: Path, op: str) -> None:
    """Remove what a killed build of DeepSpeed's `op` left below torch's folder of extensions, and every later start would wait
    for, for ever. Only for a caller that knows that no process builds."""
    for left in root.glob(f"**/{op}*/lock"):
        left.unlink(missing_ok=True)


def begin_anew(optimizer: Any) -> None:
    """Undo the update of zero gradients by which DeepSpeed's optimizer for 16 bits at ZeRO 0 makes room for moments when it is
    built, and never takes back: weights decay, and AdamW takes the first real update for its second, three quarters as long."""
    optimizer.optimizer.state.clear()
    optimizer.refresh_fp32_params()


def set_loss_scale(optimizer: Any, value: float) -> None:
    """Of a DeepSpeed optimizer for fp16, whose own scaler was set to be constant."""
    optimizer.loss_scale = value


def count_as_skipped(engine: Any) -> None:
    """Have DeepSpeed's engine count its last step as not made, as it counts those that it skips itself: the next one has the
    learning rate that this one had."""
    engine.skipped_steps += 1
    engine.lr_scheduler.last_epoch -= 2
    engine.lr_scheduler._step_count -= 2
    engine.lr_scheduler.step()


@contextmanager
def shards_written_by(engine: Any, save: Callable[[Any, str], None]) -> Iterator[None]:
    """Inside, `engine.save_checkpoint` passes every shard to `save` (state, path) instead of its own writer, and does not copy
    its script for recovery, a copy that can fail on rank 0 alone."""
    plain, engine.checkpoint_engine.save = engine.checkpoint_engine.save, save
    engine._copy_recovery_script = lambda _path: None
    try:
        yield
    finally:
        engine.checkpoint_engine.save = plain


# DeepSpeed's optimizers, by ZeRO stage

# A part of a parameter in this rank's optimizer: the parameter, where in it the part starts, the flat tensor that AdamW
# updates, where in that, and how many values.
Slot = tuple[nn.Parameter, int, Tensor, int, int]


def slots(optimizer: Any, stage: int, rank: int, world: int) -> Iterator[Slot]:
    """Where this rank's optimizer keeps what. Raises ValueError where it keeps it on NVMe."""
    if stage == 0:
        trained = [group["params"] for group in optimizer.param_groups]
        computing = getattr(optimizer, "fp16_groups", trained)  # in bf16 another tensor than AdamW updates
        for group, updated in zip(computing, getattr(optimizer, "fp32_groups", trained), strict=True):
            for parameter, flat in zip(group, updated, strict=True):
                yield parameter, 0, flat, 0, parameter.numel()
    elif stage == 3:
        if optimizer.swap_optimizer or optimizer.params_in_nvme_and_cpu:
            raise ValueError("states on NVMe resume at the same ranks and stage only; use runtime.deepspeed=zero3_offload")
        for group, flat in zip(optimizer.fp16_groups, optimizer.fp32_partitioned_groups_flat, strict=True):
            offset = 0
            for parameter in group:
                part = -(-parameter.ds_numel // world)  # rounded up, as DeepSpeed pads
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


def spread(optimizer: Any, stage: int) -> None:
    """From the fp32 weights that AdamW updates to the weights that the model computes with, on all ranks. Collective."""
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


# DeepSpeed's checkpoints, by ZeRO stage

# A part of a trained parameter as a shard holds it: its name, and flat tensors by WEIGHT and MOMENTS.
KeptPart = tuple[str, Mapping[str, Tensor]]


def shapes(stage: int, common: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of every trained parameter, from the shard that holds the model."""
    if stage:
        return {name: tuple(shape) for group in common["param_shapes"] for name, shape in group.items()}
    return {name: tuple(common["module"][name].shape) for group in common["parameters"] for name in group}


def parts(stage: int, common: Mapping[str, Any], optimizers: Sequence[Mapping[str, Any]]) -> tuple[int, list[KeptPart]]:
    """(updates that AdamW has made, the parts in the order of ranks) of a checkpoint; `optimizers` are the states of all
    ranks, none at stage 0. Raises ValueError where states are elsewhere, on NVMe."""
    if stage == 0:
        return _whole(common)
    return _partitions(optimizers, common) if stage == 3 else _slices(optimizers)


def _slices(ranks: Sequence[Mapping[str, Any]]) -> tuple[int, list[KeptPart]]:
    """ZeRO 1 and 2: a rank has a slice of each group's parameters laid end to end."""
    updates = 0
    parts: list[KeptPart] = []
    for rank in ranks:
        states = rank["base_optimizer_state"]["state"]
        for group, slices in enumerate(rank["param_slice_mappings"]):
            state = states[group]
            updates = int(state.get("step", 0))
            flat = {WEIGHT: rank["single_partition_of_fp32_groups"][group], **{key: state[key] for key in MOMENTS}}
            for name, where in slices.items():
                part = slice(where.start, where.start + where.numel)
                parts.append((name, {key: value.flatten()[part] for key, value in flat.items()}))
    return updates, parts


def _partitions(ranks: Sequence[Mapping[str, Any]], common: Mapping[str, Any]) -> tuple[int, list[KeptPart]]:
    """ZeRO 3: a rank has an equal part of every parameter, the last ranks' padded."""
    updates = 0
    parts: list[KeptPart] = []
    for number, rank in enumerate(ranks):
        for group, shapes_of_group in enumerate(common["param_shapes"]):
            if group not in rank["optimizer_state_dict"]["state"]:
                raise ValueError("optimizer states that DeepSpeed keeps on NVMe resume at the same ranks and stage only")
            state = rank["optimizer_state_dict"]["state"][group]
            updates = int(state["step"])
            flat = {WEIGHT: rank["fp32_flat_groups"][group], **{key: state[key] for key in MOMENTS}}
            offset = 0
            for name, shape in shapes_of_group.items():
                part = -(-shape.numel() // len(ranks))  # rounded up, as DeepSpeed pads
                there = max(0, min(part, shape.numel() - number * part))
                parts.append((name, {key: value[offset : offset + there] for key, value in flat.items()}))
                offset += part
    return updates, parts


def _whole(common: Mapping[str, Any]) -> tuple[int, list[KeptPart]]:
    """ZeRO 0: everything in one file; the optimizer counts parameters in the order of its groups. In bf16 the fp32 weights are
    in its wrapper."""
    optimizer, names = common["optimizer"], [name for group in common["parameters"] for name in group]
    weights = {name: common["module"][name] for name in names}
    if "fp32_groups" in optimizer:
        masters = [master for group in optimizer["fp32_groups"] for master in group]
        weights, optimizer = dict(zip(names, masters, strict=True)), optimizer["optimizer_state_dict"]
    numbers = [number for group in optimizer["param_groups"] for number in group["params"]]
    updates = 0
    parts: list[KeptPart] = []
    for name, number in zip(names, numbers, strict=True):
        state = optimizer["state"][number]
        updates = int(state["step"])
        parts.append((name, {WEIGHT: weights[name].detach().float(), **{key: state[key] for key in MOMENTS}}))
    return updates, parts
