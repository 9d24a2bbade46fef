"""Process 1 of a pod: a launcher below it, and an exit code that says what Kubernetes shall do.

    python -m xdist.launch.pod train CONFIG.yaml START_FOLDER                 torchrun on every node
    python -m xdist.launch.pod train CONFIG.yaml START_FOLDER --mpi NAME…     mpirun on one, which passes on these variables

0 finished; 2 the description or data are wrong, do not try again; 75 stopped and saved, and 1 broken: start all pods again.
Launchers turn every code into 1, so the code is read from the run folder. How many nodes there are and where they meet is in
the variables PET_…, which torchrun reads itself.

Kubeflow Trainer's MPI policy gives the list of hosts in a file that a variable names; the pod with Open MPI's launcher reaches
them by ssh. A node's shell has none of the launcher's variables, so they are passed on by name, which keeps values off the
command line. Ranks learn their numbers from Open MPI (xdist.run.distributed) and meet at the first host, where rank 0 is.
"""

import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterable
from pathlib import Path

from xdist.config import load_run
from xdist.errors import RunError, UserError
from xdist.run import stopping
from xdist.run.folder import RunFolder

FINISHED, BROKEN, USER_ERROR, UNFINISHED = 0, 1, 2, 75
MARK_SECONDS = 20.0

HOSTFILE = "OMPI_MCA_orte_default_hostfile"
PORT = 29500
# As the nodes' sshd of jobs/kubernetes/runtime-mpi.yaml listens; its host keys are made for the job.
SSH = "-p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectionAttempts=30"
ALWAYS = ("HOME", "TMPDIR", "PATH", "LD_LIBRARY_PATH")
PREFIXES = ("HF_", "NCCL_", "TORCH_", "TRITON_", "OMP_", "PYTHON", "DS_", "GLOO_", "CUDA_")


def main(work: str, config: str, start: str, *mpi: str) -> int:
    os.chdir(start)
    try:
        run = load_run(Path(config))
        folder = RunFolder(run.folder)
        if os.environ.get("PET_NODE_RANK", "0") == "0":
            folder.announce(run)
            stopping.drop_old(folder.stop, stopping.start_requested_at(folder.path / "job" / "job.json"))
    except (UserError, RunError) as error:
        print(f"xdist: {error}", file=sys.stderr)
        return USER_ERROR if isinstance(error, UserError) else BROKEN

    def ask(_number: int, _frame: types.FrameType | None) -> None:
        """All ranks of all pods finish their step and save: the run folder is theirs together."""
        if folder.path.is_dir():
            folder.stop.touch()

    signal.signal(signal.SIGTERM, ask)
    ranks = ["-m", f"xdist.{work}", config]
    launcher = [*mpirun(mpi[1:]), sys.executable] if mpi else [sys.executable, "-m", "torch.distributed.run"]
    # A separate session: a signal to the pod's processes must not reach the launcher, which would kill the ranks.
    code = subprocess.Popen([*launcher, *ranks], start_new_session=True).wait()
    await_mark(folder)
    if folder.user_error:
        return USER_ERROR
    if folder.state == "unfinished":
        return UNFINISHED
    return FINISHED if code == 0 and folder.state == "finished" else BROKEN


def mpirun(names: Iterable[str]) -> list[str]:
    """The words before the program; `names` of variables are passed on besides those that xdist sets itself."""
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


def await_mark(folder: RunFolder) -> None:
    """Give rank 0, which may be in another pod and slower, time to say how the run ended."""
    limit = time.monotonic() + MARK_SECONDS
    while folder.state in ("new", "running") and time.monotonic() < limit:
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
