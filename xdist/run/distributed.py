"""The process group: rank, world, and the few collectives that xdist itself makes."""

import fcntl
import os
import pickle
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from xdist import private
from xdist.errors import RunError
from xdist.run import devices

# Rank, local rank and world as they are named by what starts ranks without torch's variables; mpirun may run within SLURM.
STARTERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS"),
)


def default_accelerator() -> None:
    """Make DeepSpeed take the CPU where there is no GPU; call before the first import of deepspeed."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def check_devices() -> None:
    """Raises UserError where this machine has more ranks than GPUs, or other GPUs than were asked for; call before `init`."""
    seen = torch.cuda.device_count() if torch.version.cuda or torch.version.hip else None
    sizes = ("LOCAL_WORLD_SIZE", "LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE")  # of torchrun, DeepSpeed's launcher, mpirun
    on_machine = next((int(os.environ[name]) for name in sizes if name in os.environ), None)
    devices.check_rank(seen, _told("LOCAL_RANK", 1, 0), on_machine)


def init(timeout_minutes: float = 10) -> None:
    """Join the process group; alone where no launcher set RANK, from Open MPI's or SLURM's variables where mpirun or srun
    started the ranks. Raises RunError where another program has the port to meet at."""
    default_accelerator()
    import deepspeed

    if "RANK" not in os.environ and "MASTER_ADDR" in os.environ:
        for names in STARTERS:
            if names[0] in os.environ and "RANK" not in os.environ:
                rank, local, size = (os.environ.get(name, "0") for name in names)
                os.environ.update(RANK=rank, LOCAL_RANK=local, WORLD_SIZE=size)
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("MASTER_PORT", str(_free_port()))
    _build_cpu_collective()
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    try:
        deepspeed.init_distributed(backend, timeout=timedelta(minutes=timeout_minutes), verbose=False)
    except dist.DistNetworkError as error:
        if "EADDRINUSE" not in str(error):
            raise
        port = os.environ["MASTER_PORT"]
        raise RunError(f"port {port}, where the ranks are to meet, is taken; choose another (--master_port)") from None
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        _keep_from_nvml()
    else:
        dist.barrier()
        private.forget_shared_memory(dist.get_rank())


def _keep_from_nvml() -> None:
    if devices.named():
        private.keep_from_nvml()


def _build_cpu_collective() -> None:
    """Compile DeepSpeed's CPU collective, one process at a time. torch guards the build with a file that a killed process
    leaves behind and every later start then waits for, for ever; this lock dies with its process, and whoever holds it may
    remove that file."""
    if torch.cuda.is_available():
        return
    from deepspeed.accelerator import get_accelerator
    from torch.utils.cpp_extension import get_default_build_root

    # Two ninjas reject each other's logs and compile for a minute at every change: always the one that came with this Python.
    own_commands = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own_commands, *filter(None, [os.environ.get("PATH")])])
    root = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root())
    root.mkdir(parents=True, exist_ok=True)
    with (root / "xdist.lock").open("w") as own:
        fcntl.flock(own, fcntl.LOCK_EX)
        private.unlock_build(root)
        builder = get_accelerator().create_op_builder("ShareMemCommBuilder")
        if builder is not None and builder.is_compatible(verbose=False):
            builder.load(verbose=False)


def shutdown() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else _told("RANK", 0, 0)


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else _told("WORLD_SIZE", 2, 1)


def _told(name: str, which: int, alone: int) -> int:
    return int(next((os.environ[one] for one in (name, *(names[which] for names in STARTERS)) if one in os.environ), alone))


def device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def has_bf16() -> bool:
    """Whether this rank's device computes in bf16 by its hardware; a CPU, where it is seldom faster, does not count."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def sum_over_ranks(values: list[float]) -> list[float]:
    """Each value summed over all ranks, in one call."""
    total = torch.tensor(values, dtype=torch.float64, device=device())
    dist.all_reduce(total)
    return total.tolist()


def barrier() -> None:
    dist.barrier()


def every(value: int) -> list[int]:
    """The `value` of every rank, on every rank."""
    values = [torch.zeros(1, dtype=torch.long, device=device()) for _ in range(world())]
    dist.all_gather(values, torch.tensor([value], device=device()))
    return [int(value) for value in values]


def broadcast(tensor: torch.Tensor, source: int) -> None:
    """Fill `tensor`, of one shape on all ranks, with what it holds on rank `source`."""
    dist.broadcast(tensor, source)


def gather(tensor: torch.Tensor, target: int) -> list[torch.Tensor] | None:
    """The `tensor` of every rank, of one shape on all, on rank `target`; None elsewhere."""
    parts = [torch.empty_like(tensor) for _ in range(world())] if rank() == target else None
    dist.gather(tensor, parts, dst=target)
    return parts


def gather_on_first(value: Any) -> list[Any] | None:
    """The `value` of every rank, on rank 0; None elsewhere. Peers are trusted: they are ranks of the same run."""
    payload = torch.frombuffer(bytearray(pickle.dumps(value, protocol=5)), dtype=torch.uint8).to(device())
    sizes = every(len(payload))
    room = max(sizes)
    padded = torch.zeros(room, dtype=torch.uint8, device=device())
    padded[: len(payload)] = payload
    parts = gather(padded, 0)
    if parts is None:
        return None
    return [pickle.loads(part[:size].cpu().numpy().tobytes()) for part, size in zip(parts, sizes, strict=True)]


def agree(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    box = [value]
    dist.broadcast_object_list(box, src=0, device=device())
    return box[0]


def _free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
