"""GPUs, and what ranks speak to each other with."""

import os
from dataclasses import dataclass

from xdist.launch.doctor.finding import Finding
from xdist.run import devices

CHECK = "accelerator"
BUILD = "install the torch build of your driver first, as pytorch.org says, then xdist"


@dataclass(frozen=True, slots=True)
class Seen:
    """`devices` that the system has, `usable` by torch; `cuda` is the version that torch was built for, '' for none."""

    devices: int
    usable: int
    cuda: str
    nccl: bool
    gloo: bool
    forced: str


def check(wanted: int = 0) -> list[Finding]:
    """`wanted`: GPUs of a node, as the cluster file says."""
    return judge(look(), wanted)


def look() -> Seen:
    import torch
    from torch import distributed

    return Seen(
        devices=devices.present(),
        usable=torch.cuda.device_count() if torch.cuda.is_available() else 0,
        cuda=torch.version.cuda or torch.version.hip or "",
        nccl=distributed.is_nccl_available(),
        gloo=distributed.is_gloo_available(),
        forced=os.environ.get("DS_ACCELERATOR", ""),
    )


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
    says = f"{seen.usable} GPUs, CUDA {seen.cuda}, NCCL" if seen.usable else "no GPU: ranks on CPUs, gloo"
    return [Finding(CHECK, "good", says)]
