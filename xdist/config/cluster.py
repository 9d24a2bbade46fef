"""Where a run is executed: this machine, a list of hosts, SLURM or Kubernetes, described by one YAML.

What ends up in a line of a scheduler's file that knows no quoting is refused here unless it is plain; what ends up in a shell
or in YAML is quoted by the templates.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from xdist.config.loading import apply_override, read_yaml, validated
from xdist.config.plain import (
    Cores,
    Duration,
    HostName,
    Image,
    Label,
    LabelKey,
    LabelValue,
    Line,
    Memory,
    PlainPath,
    Quantity,
    Word,
)
from xdist.config.run import Section
from xdist.errors import UserError, unknown

SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY", re.IGNORECASE)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    return int(duration[:-1]) * UNITS[duration[-1]]


class _Cluster(Section):
    """What every kind has."""

    nodes: int = Field(1, ge=1)
    gpus_per_node: int = Field(0, ge=0)
    ranks_per_node: int | None = Field(None, ge=1, description="processes on a node; null: one per GPU, or one")
    environment: dict[str, Line] = Field({}, description="variables of every rank")
    data: Path | None = Field(None, description="where the official files lie there; null: data.root of the run")
    cache: Path | None = Field(None, description="where prepared rows are kept there; null: data.cache of the run")

    @field_validator("environment", mode="before")
    @classmethod
    def _numbers(cls, values: Any) -> Any:
        """OMP_NUM_THREADS: 4 is what people write."""
        if not isinstance(values, dict):
            return values
        return {key: str(value) if type(value) in (int, float) else value for key, value in values.items()}

    @field_validator("environment")
    @classmethod
    def _names(cls, values: dict[str, str]) -> dict[str, str]:
        for name in values:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"'{name}' is no name of a variable")
            if SECRET.search(name):
                raise ValueError(f"'{name}' looks like a secret, which does not belong in a file; see docs/clusters.md")
        return values

    @property
    def ranks(self) -> int:
        """Processes on each node."""
        return self.ranks_per_node or max(1, self.gpus_per_node)


class Local(_Cluster):
    """This machine."""

    kind: Literal["local"]
    nodes: Literal[1] = 1


class Hosts(_Cluster):
    """Machines that see the same files under the same paths, started by the deepspeed launcher over ssh or by hand."""

    kind: Literal["hosts"]
    hosts: tuple[HostName, ...] = Field(min_length=1)
    nodes: int = Field(0, description="follows from hosts")
    ssh: bool = Field(True, description="false: the launcher is started on every host, with the host's number")
    port: int = Field(29500, ge=1024, le=65535)
    python: Line | None = Field(None, description="interpreter on the hosts; null: the one that submits")

    @model_validator(mode="before")
    @classmethod
    def _count(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("hosts"), list | tuple):
            if "nodes" in values:
                raise ValueError("'nodes' follows from the list of hosts; leave it out")
            if len(set(map(str, values["hosts"]))) < len(values["hosts"]):
                raise ValueError("a host stands twice in 'hosts'")
            return {**values, "nodes": len(values["hosts"])}
        return values


class Preparation(Section):
    """What each job of `xdist submit --prepare` gets: cores and memory, no GPU."""

    cpus: int = Field(4, ge=1)
    memory: Memory = "8G"
    time_limit: Duration = "4h"
    partition: Word | None = Field(None, description="null: the cluster's")


class Slurm(_Cluster):
    kind: Literal["slurm"]
    time_limit: Duration
    save_time: Duration = Field(
        "10m", description="asked to save this long before the limit: longest step, saving and a minute"
    )
    max_restarts: int = Field(20, ge=0)
    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    reservation: Word | None = None
    gpu_type: Word | None = None
    cpus_per_node: int = Field(1, ge=1)
    memory: Memory = "0"
    exclusive: bool = False
    launcher: Literal["torchrun", "deepspeed"] = "torchrun"
    setup: tuple[Line, ...] = Field((), description="shell lines that set up the environment, such as 'module load cuda'")
    python: Line | None = Field(None, description="interpreter on the nodes; null: the one that submits")
    scratch: Path | None = Field(None, description="folder on each node's own disk for what is compiled on first use")
    prepare: Preparation = Preparation()

    @model_validator(mode="after")
    def _time_to_save(self) -> "Slurm":
        if seconds(self.save_time) >= seconds(self.time_limit):
            raise ValueError("save_time must be shorter than time_limit")
        if self.gpu_type and not self.gpus_per_node:
            raise ValueError("gpu_type needs gpus_per_node")
        return self


class Volume(Section):
    """A PersistentVolumeClaim and where the pods see it."""

    claim: Label
    path: PlainPath


class SecretKey(Section):
    secret: Label
    key: LabelValue = Field(min_length=1)


class PodPreparation(Section):
    """What each pod of `xdist submit --prepare` gets: cores and memory, no GPU."""

    cpus: int = Field(4, ge=1)
    memory: Quantity = "8Gi"


class Kubernetes(_Cluster):
    kind: Literal["kubernetes"]
    image: Image
    runs: Volume
    data: Volume  # type: ignore[assignment]
    namespace: Label = "default"
    form: Literal["trainjob", "job"] = Field("trainjob", description="job: for clusters without Kubeflow Trainer")
    queue: Label | None = Field(None, description="LocalQueue of Kueue")
    time_limit: Duration | None = None
    save_time: Duration = Field("10m", description="from the notice of preemption to the end; longer than a step and saving")
    policy: Literal["torch", "mpi"] = Field("torch", description="of a trainjob: how its ranks are started")
    runtime: Label | None = Field(None, description="a ClusterTrainingRuntime; null: the policy's of jobs/kubernetes/")
    python: Line = "python"
    cpu: Cores = "4"
    memory: Quantity = "16Gi"
    shared_memory: Quantity = "8Gi"
    scratch: Quantity = Field("20Gi", description="of each node's disk, for what is compiled on first use")
    gpu_resource: LabelKey = "nvidia.com/gpu"
    rdma_resource: LabelKey | None = Field(None, description="such as rdma/ib; also allows locked memory")
    node_selector: dict[LabelKey, LabelValue] = Field({})
    service_account: Label | None = None
    image_pull_secret: Label | None = None
    secrets: dict[str, SecretKey] = Field({}, description="variables taken from a Secret: NAME: {secret: …, key: …}")
    prepare: PodPreparation = PodPreparation()
    user: int = Field(1000, ge=1, description="user and group number of the processes")

    @property
    def training_runtime(self) -> str:
        return self.runtime or f"xdist-{self.policy}"

    @model_validator(mode="after")
    def _policy_of_a_trainjob(self) -> "Kubernetes":
        if self.policy == "mpi" and self.form != "trainjob":
            raise ValueError("policy: mpi needs form: trainjob")
        return self

    @model_validator(mode="after")
    def _secret_names(self) -> "Kubernetes":
        for name in self.secrets:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in self.environment:
                raise ValueError(f"secrets: '{name}' is no name of a variable, or stands in environment too")
        return self


Cluster = Local | Hosts | Slurm | Kubernetes
KINDS: dict[str, type[Local] | type[Hosts] | type[Slurm] | type[Kubernetes]] = {
    "local": Local,
    "hosts": Hosts,
    "slurm": Slurm,
    "kubernetes": Kubernetes,
}


def load_cluster(path: Path, overrides: Sequence[str] = ()) -> Cluster:
    """The cluster described at `path`. Raises UserError with file, line and key of the first mistake."""
    values, source = read_yaml(path)
    for text in overrides:
        apply_override(values, text, source)
    kind = values.get("kind")
    if kind is None:
        raise UserError(f"{path}: 'kind' is required (valid: {', '.join(sorted(KINDS))})")
    if kind not in KINDS:
        raise UserError(f"{source.at(('kind',))}: {unknown('kind', kind, KINDS)}")
    return validated(KINDS[kind], values, source)
