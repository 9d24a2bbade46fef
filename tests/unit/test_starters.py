"""Ranks that srun or mpirun starts know their numbers, where they meet, and that no two have one GPU."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import HashStore

from xdist.errors import UserError
from xdist.files import PACKAGE
from xdist.run import devices, starters

SRUN = {"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8", "SLURM_JOB_ID": "17"}
MPIRUN = {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}


@pytest.mark.parametrize(
    "nodes, first",
    [
        ("gpu[003-005,7],cpu1", "gpu003"),
        ("gpu1", "gpu1"),
        ("a,b[1-2]", "a"),
        ("rack[2,4]node[09-12].site", "rack2node09.site"),
        ("n[10]", "n10"),
    ],
)
def test_the_first_host_of_a_node_list(nodes: str, first: str) -> None:
    assert starters.first_of(nodes) == first


@pytest.mark.parametrize(
    "variables, rank, local, world, meet",
    [
        ({**SRUN, "SLURM_STEP_NODELIST": "n[3-4]", "SLURM_JOB_NODELIST": "n[1-8]"}, "5", "1", "8", "n3"),
        ({**SRUN, "SLURM_JOB_NODELIST": "n1", "SLURM_STEP_NUM_NODES": "1"}, "5", "1", "8", "127.0.0.1"),
        ({**SRUN, "MASTER_ADDR": "head", "SLURM_JOB_NODELIST": "n1"}, "5", "1", "8", "head"),
        ({**MPIRUN, "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, "3", "1", "4", "127.0.0.1"),
        ({**MPIRUN, "SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_NODELIST": "m[7,9]"}, "3", "1", "4", "m7"),
    ],
)
def test_who_is_started_by_srun_or_mpirun(variables: dict[str, str], rank: str, local: str, world: str, meet: str) -> None:
    assert starters.adopt_variables(variables)
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")
    assert [variables[name] for name in names] == [rank, local, world, meet]
    assert int(variables["MASTER_PORT"]) in starters.PORTS


def test_jobs_on_one_machine_meet_at_ports_of_their_own() -> None:
    ports = set()
    for job in ("17", "18"):
        for rank in ("0", "7"):
            variables = {**SRUN, "SLURM_PROCID": rank, "SLURM_JOB_ID": job, "SLURM_JOB_NODELIST": "n1"}
            starters.adopt_variables(variables)
            ports.add(variables["MASTER_PORT"])
    assert len(ports) == 2


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_NODELIST": "n[1-2]"},  # a batch script
        {**SRUN, "RANK": "0", "WORLD_SIZE": "1"},  # torchrun in a task of srun's
    ],
)
def test_who_is_not(variables: dict[str, str]) -> None:
    before = dict(variables)
    assert not starters.adopt_variables(variables)
    assert variables == before


def test_ranks_of_mpirun_on_hosts_that_nobody_names() -> None:
    with pytest.raises(UserError, match="mpirun started 4 ranks on several hosts, and nothing says where they meet"):
        starters.adopt_variables({**MPIRUN, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"})


@pytest.mark.parametrize(
    "gpus, shared", [(["A of a", "B of a", "A of b"], None), (["A of a", "B of a", "A of a"], "0, 2 have one GPU (A of a)")]
)
def test_no_two_ranks_have_one_gpu(gpus: list[str], shared: str | None) -> None:
    """All say the same, so any of them may be read."""
    store = HashStore()

    def said(rank: int) -> str:
        try:
            starters.one_gpu_each(store, rank, len(gpus), gpus[rank])
        except UserError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(gpus)) as pool:
        (line,) = set(pool.map(said, range(len(gpus))))
    assert line.startswith(f"ranks {shared}, and each can have one rank: ") if shared else not line


@pytest.mark.parametrize(
    "said, cuda, others, kind",
    [
        (None, True, [], "cuda"),
        (None, True, ["xpu"], "cuda"),
        (None, False, [], "cpu"),
        ("cpu", True, [], "cpu"),
        ("cpu", False, ["mps"], "cpu"),
        ("cuda", True, [], "cuda"),
        ("cuda", False, [], "DS_ACCELERATOR=cuda: torch finds no GPU here; leave DS_ACCELERATOR out, or set it to cpu"),
        ("xpu", True, [], "DS_ACCELERATOR=xpu: xdist does not run on Intel's GPUs (XPU) (valid: cuda, of AMD's too; cpu)"),
        ("tpu", False, [], "DS_ACCELERATOR=tpu: xdist does not run on 'tpu' (valid: cuda, of AMD's too; cpu)"),
        *(
            (None, False, [name], f"this machine has {called}, which xdist does not run on; to train on the CPU, put DS_ACC")
            for name, called in (
                ("xpu", "Intel's GPUs (XPU)"),
                ("npu", "Huawei's Ascend (NPU)"),
                ("hpu", "Intel's Gaudi (HPU)"),
                ("mps", "Apple's GPUs (MPS)"),
            )
        ),
    ],
)
def test_one_place_decides_on_the_device(said: str | None, cuda: bool, others: list[str], kind: str) -> None:
    variables = {} if said is None else {"DS_ACCELERATOR": said}
    if kind in ("cuda", "cpu"):
        assert devices.kind(cuda, lambda: others, variables) == kind
    else:
        with pytest.raises(UserError) as caught:
            devices.kind(cuda, lambda: others, variables)
        assert str(caught.value).startswith(kind)


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_rank_says_what_a_command_says_before_it_starts_ranks(kind: str) -> None:
    """DeepSpeed looks for its device when it is imported, and would end with a page."""
    with pytest.raises(UserError) as caught:
        devices.check(1, {"DS_ACCELERATOR": "xpu"})
    words = [sys.executable, str(PACKAGE / f"{kind}.py"), "no-such.yaml"]
    done = subprocess.run(words, env={**os.environ, "DS_ACCELERATOR": "xpu"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"xdist: {caught.value}\n")
