"""Ranks under Open MPI, as Kubeflow Trainer's MPI policy sets it up: a launcher reaches the nodes by ssh.

The policy gives the list of hosts in a file that a variable names. A node's shell has none of the launcher's variables, so they
are handed on by name, which keeps values off the command line. Ranks learn their numbers from Open MPI
(xdist.runtime.distributed) and meet at the first host, where rank 0 is.
"""

import os
from collections.abc import Iterable
from pathlib import Path

HOSTFILE = "OMPI_MCA_orte_default_hostfile"
PORT = 29500
# As the nodes' sshd of jobs/kubernetes/runtime-mpi.yaml listens; its host keys are made for the job.
SSH = "-p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectionAttempts=30"
ALWAYS = ("HOME", "TMPDIR", "PATH", "LD_LIBRARY_PATH")
PREFIXES = ("HF_", "NCCL_", "TORCH_", "TRITON_", "OMP_", "PYTHON", "DS_", "GLOO_", "CUDA_")


def mpirun(names: Iterable[str]) -> list[str]:
    """The words before the program; `names` of variables are handed on besides those that xdist sets itself."""
    names = set(names)
    hosts = Path(os.environ[HOSTFILE]).read_text(encoding="utf-8").split("\n")
    first = next(line.split()[0] for line in hosts if line.strip() and not line.startswith("#"))
    words = ["mpirun", "--bind-to", "none", "--mca", "plm_rsh_args", SSH]
    words += ["--mca", "orte_tmpdir_base", os.environ.get("TMPDIR", "/tmp")]  # the root of a pod is read-only
    words += ["-x", f"MASTER_ADDR={first}", "-x", f"MASTER_PORT={os.environ.get('MASTER_PORT', PORT)}"]
    for name in os.environ:
        if name in names or name in ALWAYS or name.startswith(PREFIXES):
            words += ["-x", name]
    return words
