"""The process group: rank, world, and the few collectives that xdist itself makes."""

import os
import pickle
import resource
import socket
import sys
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from xdist import private
from xdist.config.runtime import AskedPrecision, Precision
from xdist.errors import RunError, UserError
from xdist.run import building, devices, libraries, starters, surroundings
from xdist.run.starters import STARTERS


def on_gpu() -> bool:
    """Whether ranks compute on GPUs and meet by NCCL: every choice between them and CPUs is made here. Raises UserError where
    neither is meant: for what DS_ACCELERATOR names, or for a device of another kind that exists, and would stay idle."""
    return devices.kind(torch.cuda.is_available(), _other_devices, os.environ) == "cuda"


def _other_devices() -> list[str]:
    """The devices of other kinds that torch finds on this machine."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return [accelerator.type] if accelerator else []


def default_accelerator() -> None:
    """Have DeepSpeed take the same device; call before the first import of deepspeed."""
    global _found
    if not os.environ.get("DS_ACCELERATOR"):
        _found = os.environ["DS_ACCELERATOR"] = "cuda" if on_gpu() else "cpu"
    else:
        on_gpu()


_found = ""  # the value that DS_ACCELERATOR was set to by xdist


def check_devices() -> None:
    """Raises UserError where this machine has more ranks than GPUs, other GPUs than were requested, or another kind of device,
    or where the ranks that the environment speaks of were never started; call before `init`."""
    surroundings.check_started()
    if not on_gpu() and os.environ.get("DS_ACCELERATOR") == "cpu" != _found:  # requested: no GPU matters
        return
    seen = torch.cuda.device_count() if torch.version.cuda or torch.version.hip else None
    sizes = ("LOCAL_WORLD_SIZE", "LOCAL_SIZE")  # of torchrun and DeepSpeed's launcher, which show all ranks the same GPUs
    on_machine = next((int(os.environ[name]) for name in sizes if name in os.environ), None)
    devices.check_rank(seen, _variable_of_starter("LOCAL_RANK", 1, 0), on_machine)
    default_accelerator()


def init(timeout_minutes: float = 10) -> None:
    """Join the process group; alone where no launcher set RANK, from Open MPI's or SLURM's variables where mpirun or srun
    started the ranks. Raises RunError where another program has the port to meet at, UserError where no address to meet at is
    given and where two ranks have one GPU."""
    default_accelerator()
    import deepspeed

    tasks = starters.adopt_variables()
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        os.environ.setdefault(name, value)
    if "MASTER_ADDR" not in os.environ or "MASTER_PORT" not in os.environ:
        address, free = surroundings.free_port()
        os.environ.setdefault("MASTER_ADDR", address)
        os.environ.setdefault("MASTER_PORT", str(free))
    surroundings.without_shared_memory()
    gpu = on_gpu()
    if gpu:  # where every rank sees its own GPU, it is the first one that each of them sees
        os.environ["LOCAL_RANK"] = str(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    else:
        building.build([building.COLLECTIVE])
    backend = "nccl" if gpu else "gloo"
    timeout = timedelta(minutes=timeout_minutes)
    try:
        if gpu and tasks:
            _meet(timeout)
        with libraries.unprinted():
            deepspeed.init_distributed(backend, timeout=timeout, verbose=False)
    except dist.DistNetworkError as error:
        if "EADDRINUSE" not in str(error):
            raise
        port = os.environ["MASTER_PORT"]
        raise RunError(f"port {port}, where the ranks have to meet, is in use; choose another (--master_port)") from None
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        _keep_from_nvml()
        _meet_on_hosts(timeout)
    else:
        dist.barrier()
        if "LOCAL_SIZE" in os.environ:
            private.forget_shared_memory(dist.get_rank())


def _meet(timeout: timedelta) -> None:
    """Join the process group before DeepSpeed would, where tasks may see their own GPUs. Raises UserError for one of two."""
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if world == 1:
        return
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, world, is_master=rank == 0, timeout=timeout)
    gpu = torch.cuda.get_device_properties(local)
    starters.one_gpu_each(store, rank, world, f"{gpu.name} {gpu.uuid} of {socket.gethostname()}")
    place = torch.device("cuda", local)
    dist.init_process_group("nccl", timeout=timeout, rank=rank, world_size=world, store=store, device_id=place)


_hosts: dist.ProcessGroup | None = None  # of the ranks' CPUs, where ranks meet by their GPUs


def _meet_on_hosts(timeout: timedelta) -> None:
    global _hosts
    if dist.get_world_size() > 1 and dist.is_gloo_available():
        surroundings.choose_interface()
        _hosts = dist.new_group(backend="gloo", timeout=timeout)


def _keep_from_nvml() -> None:
    if devices.named_by_id():
        private.keep_from_nvml()


def shutdown() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else _variable_of_starter("RANK", 0, 0)


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else _variable_of_starter("WORLD_SIZE", 2, 1)


def _variable_of_starter(name: str, which: int, alone: int) -> int:
    return int(next((os.environ[one] for one in (name, *(names[which] for names in STARTERS)) if one in os.environ), alone))


def device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu() else torch.device("cpu")


def precision(asked: AskedPrecision) -> Precision:
    """What `asked` becomes on this rank's device: `auto` what its hardware is made for, on a CPU fp32; `tf32` fp32 where there
    is no such thing. Raises UserError for fp16 where it cannot be trained in."""
    gpu = on_gpu()
    new, tensor_cores = (gpu and able() for able in (_has_bf16, _has_tensor_cores))
    if asked == "tf32":
        return "tf32" if new else "fp32"
    if asked == "auto":
        return "bf16" if new else "fp16" if tensor_cores else "fp32"
    if asked == "fp16" and not private.trains_in_fp16():
        here = "this GPU is too old for it" if gpu else "DeepSpeed does not train in it on a CPU"
        raise UserError(f"runtime.precision=fp16: {here} (valid here: fp32, {'tf32' if gpu else 'bf16'})")
    return asked


def _has_bf16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _has_tensor_cores() -> bool:
    """Of NVIDIA's GPUs from Volta on, except for the small ones of Turing; AMD's that have them have bf16 too."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return torch.version.cuda is not None and properties.major >= 7 and "GTX 16" not in properties.name


def sum_over_ranks(values: list[float]) -> list[float]:
    """Each value summed over all ranks, in one call."""
    total = torch.tensor(values, dtype=torch.float64, device=device())
    dist.all_reduce(total)
    return total.tolist()


def sum_of_hosts(values: list[float]) -> list[float]:
    """The same, on the CPUs alone: no rank waits for what its GPU is at."""
    if _hosts is None:
        return sum_over_ranks(values)
    total = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(total, group=_hosts)
    return total.tolist()


def sum_tensor(values: torch.Tensor) -> None:
    """Sum `values`, of one shape on all ranks, over the ranks, in place."""
    dist.all_reduce(values)


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


def peak_memory() -> int:
    """The most bytes that any rank has held: on a GPU in tensors, on a CPU as a complete process. Collective."""
    if device().type == "cuda":
        here = torch.cuda.max_memory_allocated(device())
    else:
        here = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return max(_every_of_hosts(here))


def _every_of_hosts(value: int) -> list[int]:
    """The `value` of every rank, by the CPUs alone."""
    placed = [0.0] * world()
    placed[rank()] = float(value)
    return [int(one) for one in sum_of_hosts(placed)]
