"""Ranks that srun or mpirun started, each with its number in their variables: where all meet, and that no two have one GPU."""

import os
import re
import zlib
from collections import defaultdict
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from xdist.errors import UserError

if TYPE_CHECKING:
    from torch.distributed import Store

# Rank, local rank and world as they are named by what starts ranks without torch's variables; mpirun may run within SLURM.
MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_SIZE")
SLURM = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")
STARTERS = (MPI, SLURM)
NODES = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
# the same on all ranks, another in each job
JOB = ("SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid")
PORTS = range(20000, 30000)  # below those that systems give away


def adopt_variables(variables: MutableMapping[str, str] = os.environ) -> bool:
    """Say by torch's variables what srun's or mpirun's say, and where all meet unless that is said; whether it is they who
    started this process. Raises UserError where nothing says where to meet."""
    names = next((names for names in STARTERS if names[0] in variables), None)
    # SLURM gives a batch script the number of a task, too; only what srun starts knows the tasks of its step.
    by_srun = "SLURM_STEP_NUM_TASKS" in variables or "MASTER_ADDR" in variables
    if "RANK" in variables or names is None or (names is STARTERS[1] and not by_srun):
        return False
    rank, local, size = (variables.get(name, "0") for name in names)
    if int(size) > 1:
        if "MASTER_ADDR" not in variables:
            variables["MASTER_ADDR"] = _first_host(variables, size)
        job = " ".join(variables.get(name, "") for name in JOB)
        variables.setdefault("MASTER_PORT", str(PORTS[zlib.crc32(job.encode()) % len(PORTS)]))
    variables.update(RANK=rank, LOCAL_RANK=local, WORLD_SIZE=size)
    return True


def _first_host(variables: MutableMapping[str, str], size: str) -> str:
    alone = variables.get("SLURM_STEP_NUM_NODES") == "1" if "OMPI_COMM_WORLD_SIZE" not in variables else False
    if alone or variables.get("OMPI_COMM_WORLD_LOCAL_SIZE") == size:
        return "127.0.0.1"
    nodes = next((variables[name] for name in NODES if variables.get(name)), "")
    if not nodes:
        raise UserError(
            f"mpirun started {size} ranks on several hosts, and nothing says where they meet: give it -x MASTER_ADDR=HOST, the "
            "host of the first rank"
        )
    return first_of(nodes)


def first_of(nodes: str) -> str:
    """The first host of a node list as SLURM writes it: 'gpu[003-005,7],cpu1' begins with gpu003."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodes)
    assert first
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first[0])


def one_gpu_each(store: "Store", rank: int, world: int, gpu: str) -> None:
    """Raises UserError, the same on every rank, where two have one GPU, of which NCCL would speak by a page; `gpu` names this
    rank's and its host."""
    store.set(f"gpu/{rank}", gpu)
    ranks: dict[str, list[str]] = defaultdict(list)
    for other in range(world):
        ranks[store.get(f"gpu/{other}").decode()].append(str(other))
    for name, sharing in ranks.items():
        if len(sharing) > 1:
            raise UserError(
                f"ranks {', '.join(sharing)} have one GPU ({name}), and each can have one "
                "rank: start as many tasks on a host as "
                "it has GPUs, where all see all of them or each its own (srun --gpus-per-task=1)"
            )
