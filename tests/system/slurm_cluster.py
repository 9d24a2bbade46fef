"""A real SLURM of two nodes for tests: started in its own folder, on loopback, and ended by process number."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "unshare")
SECONDS = 400  # for anything that a job is awaited to do; machines under load are slow


def why_not() -> str:
    """Why no SLURM can be started here, '' if it can."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in COMMANDS if shutil.which(name, path=path) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "a SLURM of our own needs root and a mount namespace"
    return ""


class Slurm:
    """`environment` makes the commands of SLURM, and so xdist, talk to this one."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def call(self, *words: str) -> str:
        return subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What `scontrol show job` says: JobState, Restarts, …"""
        fields = self.call("scontrol", "-o", "show", "job", number).split()
        return dict(field.split("=", 1) for field in fields if "=" in field)

    def ended(self, number: str) -> dict[str, str]:
        """Wait until the job has left the queue, through all its starts."""
        await_that(
            lambda: self.job(number)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING", "REQUEUED"), f"job {number}"
        )
        return self.job(number)


def await_that(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit, f"timed out: {what}"
        time.sleep(0.1)


@contextmanager
def two_nodes() -> Iterator[Slurm]:
    # Not below pytest's own folder, which only its owner may enter: munged refuses to work there.
    folder = Path(tempfile.mkdtemp(prefix="xdist-slurm-"))
    try:
        with _running(folder) as slurm:
            yield slurm
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(folder: Path) -> Iterator[Slurm]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = 21000 + sock.getsockname()[1] % 9000
    script = Path(__file__).with_name("two_nodes.sh")
    process = subprocess.Popen(
        ["unshare", "--mount", "bash", str(script), str(folder), str(port)],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said == "ready\n", "\n".join(
            path.read_text() for path in [folder / "munge.log", *sorted(folder.glob("*.out"))] if path.exists()
        )
        slurm = Slurm(folder)
        try:
            yield slurm
        finally:
            slurm.call("scancel", "--user=root")
            await_that(lambda: not slurm.call("squeue", "--noheader", "--states=PD,R,CG"), "jobs leave")
    finally:
        process.communicate(timeout=60)
