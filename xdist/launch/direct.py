"""Clusters without a queue: this machine; a list of hosts under DeepSpeed's launcher, over ssh or started on each by hand."""

import os
import re
from pathlib import Path
from typing import Any, Literal, cast

import click
from pydantic import Field, model_validator

from xdist.config import Cluster, load_run
from xdist.config.plain import HostName, Interpreter
from xdist.errors import UserError
from xdist.launch import quoting
from xdist.launch.job import Job, Work, template
from xdist.launch.local import FINISHED, supervise
from xdist.launch.prepared import launch
from xdist.launch.scheduler import Direct
from xdist.resolve.resolved import resolve
from xdist.run import devices
from xdist.run.folder import RunFolder

FILE = "start.sh"


class Local(Cluster):
    """This machine."""

    kind: Literal["local"]
    nodes: Literal[1] = 1


class Hosts(Cluster):
    """Machines that see the same files under the same paths, started by the deepspeed launcher over ssh or by hand."""

    kind: Literal["hosts"]
    hosts: tuple[HostName, ...] = Field(min_length=1, description="names or addresses, the first leads")
    nodes: int = Field(0, ge=0, le=100_000, description="follows from hosts")
    ssh: bool = Field(True, description="false: the launcher is started on every host, with the host's number")
    port: int = Field(29500, ge=1024, le=65535, description="of the first host, where ranks meet")
    python: Interpreter | None = Field(None, description="interpreter on the hosts; null: the one that submits")

    @model_validator(mode="before")
    @classmethod
    def _count(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("hosts"), list | tuple):
            if "nodes" in values:
                raise ValueError("'nodes' follows from the list of hosts; leave it out")
            if len(set(map(str, values["hosts"]))) < len(values["hosts"]):
                raise ValueError("a host appears twice in 'hosts'")
            return {**values, "nodes": len(values["hosts"])}
        return values


class _ThisMachine(Direct[Local]):
    name = "local"
    options = Local

    def render(self, job: Job, options: Local, config: str) -> dict[str, str]:
        """Nothing. Raises UserError where there are fewer GPUs than ranks."""
        if RunFolder(job.folder).state != "finished":
            devices.check(options.ranks, {**os.environ, **options.environment})
        return {}

    def start(self, job: Job, folder: RunFolder, options: Local) -> int:
        os.environ.update(options.environment)
        work = cast(Work, job.work)
        return launch(work, resolve(load_run(folder.config), work), folder.config, ())


class _ListOfHosts(Direct[Hosts]):
    name = "hosts"
    options = Hosts

    def render(self, job: Job, options: Hosts, config: str) -> dict[str, str]:
        """The script, the hostfile and the variables of every rank. Raises UserError for what cannot go through the launcher,
        which hands everything on to remote shells unquoted."""
        variables = {
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "NCCL_DEBUG": "WARN",
            "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
            "PYTHONFAULTHANDLER": "1",
            **options.environment,
        }
        if options.ssh:
            for what in (str(job.folder), str(job.start), job.python, *variables.values()):
                if not re.fullmatch(r"[\w./@+=,:-]*", what, re.ASCII) or ".." in Path(what).parts:
                    raise UserError(
                        f"{what!r}: DeepSpeed's launcher cannot pass this over ssh: letters, digits and . _ / @ + = , : -"
                    )
        return {
            FILE: template("hosts/start.sh.j2", job=job, cluster=options),
            "hostfile": "".join(f"{host} slots={options.ranks}\n" for host in options.hosts),
            "environment": "".join(f"{name}={value}\n" for name, value in variables.items()),
        }

    def start(self, job: Job, folder: RunFolder, options: Hosts) -> int:
        script = job.files / FILE
        if options.ssh:
            return supervise(["bash", str(script)], dict(os.environ), folder)
        for number, host in enumerate(options.hosts):
            click.echo(f"on {host}: bash {quoting.sh(script)} {number}")
        return FINISHED


LOCAL, HOSTS = _ThisMachine(), _ListOfHosts()
