"""The updates of DeepSpeed's optimizers in few kernels and with one look at the gradients' norm, or none.

Theirs take several kernels for each parameter, and read several numbers from the device while it waits: at small and medium
sizes a step is bound by that. Here lists of tensors go through one kernel, with the same sums. What is replaced are methods of
one engine and of its optimizer; `benchmarks/step_counts.py` counts what is left. Checked with `private.py` against the versions
named there.

Where PyTorch's fused AdamW updates plain lists of tensors, the device decides whether a step is made: a gradient whose norm is
not finite changes nothing there, and the program reads the norm later (`norm_of_step`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from deepspeed.runtime.bf16_optimizer import BF16_Optimizer
from deepspeed.runtime.fp16.unfused_optimizer import FP16_UnfusedOptimizer
from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3
from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer
from torch import Tensor, distributed

SMALL = 1e-6  # added to the norm that a gradient is divided by, as everywhere in PyTorch


def in_few_kernels(engine: Any) -> None:
    """Of a DeepSpeed engine that has just been made. Optimizers whose states are outside the device keep their own way."""
    engine.allreduce_and_copy = partial(_reduced, engine)
    optimizer = engine.optimizer
    if isinstance(optimizer, BF16_Optimizer):
        optimizer.update_hp_grads = partial(_add_up, optimizer)
        optimizer.step = partial(_step_of_partitions, optimizer)
    elif isinstance(optimizer, FP16_UnfusedOptimizer):
        optimizer.step = partial(_step_of_copies, optimizer)
    elif isinstance(optimizer, DeepSpeedZeroOptimizer) and not optimizer.cpu_offload:
        optimizer.check_overflow = lambda partition_gradients=True: None  # known from the norm, which is needed anyway
        optimizer.scaled_global_norm = lambda norm_type=2: _norm_over_ranks(optimizer, optimizer.bit16_groups)
        optimizer.unscale_and_clip_grads = partial(_unscale_and_clip, optimizer)
    elif isinstance(optimizer, DeepSpeedZeroOptimizer_Stage3) and not optimizer.offload_optimizer:
        optimizer._get_norm_groups = lambda: [_norm_over_ranks(optimizer, optimizer.fp16_groups)]


def norm_of_step(optimizer: Any) -> Tensor | None:
    """Where the optimizer has left it to the device whether its last step is made: the norm of the gradient, on the device."""
    norm: Tensor | None = vars(optimizer).pop("norm_of_step", None)
    return norm


@torch.no_grad()
def update_if_finite(optimizer: Any, norm: Tensor, update: Callable[[], Any]) -> None:
    """Have an optimizer of PyTorch `update`, unless the `norm` () of the gradients is not finite: then weights, moments and
    counts of steps stay as they are. Nothing waits for that if it is fused."""
    if not all(group.get("fused") for group in optimizer.param_groups):
        if norm.isfinite():
            update()
        return
    optimizer.found_inf = (~norm.isfinite()).float()
    try:
        update()
    finally:
        del optimizer.found_inf


def _reduced(engine: Any, bucket: Sequence[Tensor], group: Any, size: int | None = None) -> None:
    """ZeRO 0, and 1 in bf16: one bucket of gradients as its mean over ranks."""
    mean = engine.allreduce_bucket(bucket, group, size)
    torch._foreach_copy_([*bucket], [*engine.unflatten(mean, bucket)])


def _squares(gradients: Iterable[Tensor], dtype: torch.dtype = torch.float32) -> Tensor:
    """The sum of their squares, on the device."""
    norms = torch._foreach_norm([*gradients], 2, dtype=dtype)
    return torch.stack(norms).pow(2).sum()


# ZeRO 1 in bf16: weights and sums of gradients are flat and complete on each rank, the masters in parts.


@torch.no_grad()
def _add_up(optimizer: Any, clear_lp_grads: bool = False) -> None:
    """After a backward pass: its gradients onto their sums in fp32. They are not kept: the next pass has none to add to."""
    for number, weights in enumerate(optimizer.bf16_groups):
        sums, has = optimizer.fp32_groups_gradients[number], optimizer.fp32_groups_has_gradients[number]
        there = [place for place, weight in enumerate(weights) if weight.grad is not None]
        first, later = ([place for place in there if bool(has[place]) == known] for known in (False, True))
        for places, onto in ((first, torch._foreach_copy_), (later, torch._foreach_add_)):
            if places:
                onto([sums[place] for place in places], [weights[place].grad.reshape(-1) for place in places])
        for place in there:
            weights[place]._hp_grad, weights[place].grad = sums[place], None
            has[place] = True


@torch.no_grad()
def _step_of_partitions(optimizer: Any, closure: None = None) -> None:
    known = zip(optimizer.fp32_groups_gradients, optimizer.fp32_groups_has_gradients, strict=True)
    norm = _squares(sums[place] for sums, has in known for place, there in enumerate(has) if there).sqrt()
    optimizer.norm_of_step, optimizer.overflow = norm, False
    parts = optimizer.fp32_groups_gradient_flat_partition
    if optimizer.clip_grad:
        torch._foreach_mul_([*parts], (optimizer.clip_grad / (norm + SMALL)).clamp(max=1))
    for master, part in zip(optimizer.fp32_groups_flat_partition, parts, strict=True):
        master.grad = part.to(master.dtype)  # itself, unless the user's file has them summed in 16 bits
    update_if_finite(optimizer.optimizer, norm, optimizer.optimizer.step)
    optimizer._lazy_init_hp_params_optimizer_state()
    optimizer.update_lp_params()
    optimizer.clear_hp_grads()


# ZeRO 0 in 16 bits: every parameter has its master.


@torch.no_grad()
def _step_of_copies(optimizer: Any, closure: None = None) -> bool:
    pairs = [
        (weight, master)
        for weights, masters in zip(optimizer.fp16_groups, optimizer.fp32_groups, strict=True)
        for weight, master in zip(weights, masters, strict=True)
    ]
    gradients = [weight.grad.to(master.dtype) for weight, master in pairs]
    norm = _squares(gradients).sqrt()
    scale = optimizer.loss_scale_config.cur_scale
    optimizer.norm_of_step, optimizer.overflow = norm, False
    optimizer._update_scale(False)
    if optimizer.clip_grad:
        divisor = ((norm.double() / scale + SMALL) / optimizer.clip_grad).clamp(min=1) * scale
        torch._foreach_mul_(gradients, divisor.reciprocal().float())
    elif scale != 1:
        torch._foreach_mul_(gradients, 1 / scale)
    for (_, master), gradient in zip(pairs, gradients, strict=True):
        master.grad = gradient
    update_if_finite(optimizer.optimizer, norm, optimizer.optimizer.step)
    for _, master in pairs:
        master.grad = None
    torch._foreach_copy_([weight.data for weight, _ in pairs], [master.data for _, master in pairs])
    return False


# ZeRO 1 in fp32 and fp16, ZeRO 2 and 3: each rank has the gradients of its part.


def _norm_over_ranks(optimizer: Any, groups: Sequence[Any]) -> Tensor:
    norms = [
        _squares(gradients, torch.float64)
        for number in range(len(groups))
        if (gradients := [one for one in optimizer.averaged_gradients[number] if one is not None])
    ]
    total = torch.stack(norms).sum() if norms else torch.zeros((), dtype=torch.float64, device=optimizer.device)
    distributed.all_reduce(total, group=optimizer.dp_process_group)
    return total.sqrt().float()


def _unscale_and_clip(optimizer: Any, gradients: Sequence[Tensor], norm: Tensor) -> None:
    """`gradients` are flat; those of a norm that is not finite were left out before."""
    scale = optimizer.loss_scale
    if optimizer.clip_grad:
        # On the device: nothing waits to know whether there is anything to clip.
        torch._foreach_div_([*gradients], ((norm / scale + SMALL) / optimizer.clip_grad).clamp(min=1) * scale)
    elif scale != 1:
        torch._foreach_mul_([*gradients], 1 / scale)
