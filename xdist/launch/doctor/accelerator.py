"""GPUs, and what ranks speak to each other with."""

import os
from dataclasses import dataclass
from pathlib import Path

from xdist.launch.doctor.finding import Finding
from xdist.run import devices

CHECK = "accelerator"
BUILD = "install the torch build of your driver first, as pytorch.org says, then xdist"
PROCESSOR = Path("/proc/cpuinfo")
BF16 = ("amx_bf16", "avx512_bf16", "bf16")  # flags of processors that multiply bf16: Intel and AMD, AMD, ARM


@dataclass(frozen=True, slots=True)
class Seen:
    """`devices` that the system has, `usable` by torch; `cuda` is the version that torch was built for, '' for none;
    `bf16`: the instructions by which the processor multiplies in bf16, '' for none."""

    devices: int
    usable: int
    cuda: str
    nccl: bool
    gloo: bool
    forced: str
    bf16: str = ""


def check(wanted: int = 0) -> list[Finding]:
    """`wanted`: GPUs of a node, as the cluster file says."""
    return judge(look(), wanted)


def look() -> Seen:
    import torch
    from torch import distributed

    return Seen(
        devices=devices.present_gpus(),
        usable=torch.cuda.device_count() if torch.cuda.is_available() else 0,
        cuda=torch.version.cuda or torch.version.hip or "",
        nccl=distributed.is_nccl_available(),
        gloo=distributed.is_gloo_available(),
        forced=os.environ.get("DS_ACCELERATOR", ""),
        bf16=bf16_of(PROCESSOR),
    )


def bf16_of(file: Path) -> str:
    """The first of `BF16` that the processor has, by Linux's file about it; '' for none, or where there is no such file."""
    try:
        flags = set(file.read_text().split())
    except OSError:
        return ""
    return next((flag for flag in BF16 if flag in flags), "")


def judge(seen: Seen, wanted: int = 0) -> list[Finding]:
    if not seen.gloo:
        return [Finding(CHECK, "bad", "torch was built without gloo, which ranks on CPUs meet by", BUILD)]
    if seen.devices and not seen.cuda:
        return [Finding(CHECK, "bad", f"{seen.devices} GPUs, but torch was built for the CPU", BUILD)]
    if seen.cuda and not seen.usable and (seen.devices or wanted):
        says = f"torch was built for CUDA {seen.cuda}, but no GPU answers"
        return [Finding(CHECK, "bad", says, "see nvidia-smi: a driver too old for it, or CUDA_VISIBLE_DEVICES hides them")]
    if seen.usable < wanted:
        says = f"{seen.usable} GPUs are usable, the cluster file says {wanted} on a node"
        return [Finding(CHECK, "bad", says, "correct gpus_per_node, or see what hides them")]
    if seen.usable and not seen.nccl:
        return [Finding(CHECK, "bad", "torch was built without NCCL, which ranks on GPUs meet by", BUILD)]
    if seen.usable and seen.forced == "cpu":
        says = f"DS_ACCELERATOR=cpu leaves {seen.usable} GPUs idle"
        return [Finding(CHECK, "note", says, "unset DS_ACCELERATOR")]
    if seen.usable:
        return [Finding(CHECK, "good", f"{seen.usable} GPUs, CUDA {seen.cuda}, NCCL")]
    faster = f"; {seen.bf16}: runtime.precision=bf16 may train faster" if seen.bf16 else ""
    return [Finding(CHECK, "good", f"no GPU: ranks on CPUs, gloo{faster}")]
