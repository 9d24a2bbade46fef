"""A run on a list of hosts under DeepSpeed's launcher: over ssh from one machine, or started on every host by hand."""

import re
from pathlib import Path

from xdist.config import Hosts
from xdist.errors import UserError
from xdist.launch import quoting
from xdist.launch.job import Job, template

FILE = "start.sh"


def render(job: Job, cluster: Hosts, config: str) -> dict[str, str]:
    """The script, the hostfile and the variables of every rank; the job reads `config` from its run folder. Raises UserError
    for what cannot go through the launcher, which hands everything on to remote shells unquoted."""
    variables = {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "NCCL_DEBUG": "WARN",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        "PYTHONFAULTHANDLER": "1",
        **cluster.environment,
    }
    if cluster.ssh:
        for what in (str(job.folder), str(job.start), job.python, *variables.values()):
            if not re.fullmatch(r"[\w./@+=,:-]*", what, re.ASCII) or ".." in Path(what).parts:
                raise UserError(
                    f"{what!r}: DeepSpeed's launcher cannot hand this on over ssh: letters, digits and . _ / @ + = , : -"
                )
    return {
        FILE: template("hosts/start.sh.j2", job=job, cluster=cluster),
        "hostfile": "".join(f"{host} slots={cluster.ranks}\n" for host in cluster.hosts),
        "environment": "".join(f"{name}={value}\n" for name, value in variables.items()),
    }


def by_hand(cluster: Hosts, script: Path) -> list[str]:
    """What to type on which host."""
    return [f"on {host}: bash {quoting.sh(script)} {number}" for number, host in enumerate(cluster.hosts)]
