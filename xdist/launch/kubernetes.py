"""A run as a Kubernetes job: a TrainJob of Kubeflow Trainer, or an Indexed Job with a headless Service where there is none."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from xdist.config import Cluster
from xdist.config.cluster import seconds
from xdist.config.plain import (
    Cores,
    DnsName,
    Duration,
    Image,
    Interpreter,
    Label,
    LabelKey,
    LabelValue,
    PlainPath,
    ResourceQuantity,
)
from xdist.config.section import Section
from xdist.errors import UserError
from xdist.launch import quoting
from xdist.launch.call import call, query_job
from xdist.launch.doctor.finding import Finding
from xdist.launch.job import Job, Module, template
from xdist.launch.scheduler import GONE, Capabilities, JobState, JobStatus, Scheduler

FILE, PARTS = "job.yaml", "prepare.yaml"
KINDS = {"trainjob": "trainjobs.trainer.kubeflow.org", "job": "jobs.batch"}
QUEUE = "kueue.x-k8s.io/queue-name"
CONTROLLERS = ("batch.kubernetes.io", "jobset.sigs.k8s.io", "trainer.kubeflow.org")
MOST_ANNOTATIONS = 200_000  # of 262,144, some are the controllers'
CONFIG = "/etc/xdist/config.yaml"
# Conditions, the one that decides first; a job with none of them has pods, or soon will.
CONDITIONS = {"Complete": JobState.FINISHED, "Failed": JobState.FAILED, "Suspended": JobState.QUEUED}


class Volume(Section):
    """A PersistentVolumeClaim and where the pods see it."""

    claim: Label = Field(description="name of the PersistentVolumeClaim")
    path: PlainPath = Field(description="where it is mounted")


class SecretKey(Section):
    secret: Label = Field(description="name of the Secret")
    key: LabelValue = Field(min_length=1, description="its key")


class PodPreparation(Section):
    """What each pod of `xdist submit --prepare` gets: cores and memory, no GPU."""

    cpus: int = Field(4, ge=1, le=10_000, description="processors, and processes that tokenise")
    memory: ResourceQuantity = Field("8Gi", description="of the pod")
    node_selector: dict[LabelKey, LabelValue] = Field({}, description="labels that its node must have, as one without GPUs")


class Kubernetes(Cluster):
    kind: Literal["kubernetes"]
    image: Image = Field(description="of the container, with xdist in it")
    runs: Volume = Field(description="the volume of run folders")
    data: Volume = Field(description="the volume of the official files")  # type: ignore[assignment]
    namespace: Label = Field("default", description="where its objects are made")
    form: Literal["trainjob", "job"] = Field("trainjob", description="job: for clusters without Kubeflow Trainer")
    queue: Label | None = Field(None, description="LocalQueue of Kueue")
    time_limit: Duration | None = Field(None, description="after which the job is ended; null: none")
    save_time: Duration = Field("10m", description="from the notice of preemption to the end; longer than a step and saving")
    policy: Literal["torch", "mpi"] = Field("torch", description="of a trainjob: how its ranks are started")
    runtime: Label | None = Field(None, description="a ClusterTrainingRuntime; null: the policy's of jobs/kubernetes/")
    python: Interpreter = Field("python", description="interpreter in the image")
    cpu: Cores = Field("4", description="processors of each pod")
    memory: ResourceQuantity = Field("16Gi", description="of each pod")
    shared_memory: ResourceQuantity = Field("8Gi", description="size of /dev/shm in each pod")
    scratch: ResourceQuantity = Field("20Gi", description="of each node's disk, for what is compiled on first use")
    gpu_resource: LabelKey = Field("nvidia.com/gpu", description="what the cluster calls a GPU")
    rdma_resource: LabelKey | None = Field(None, description="such as rdma/ib; also allows locked memory")
    node_selector: dict[LabelKey, LabelValue] = Field({}, description="labels that nodes must have")
    service_account: Label | None = Field(None, description="that pods run as; null: the namespace's")
    image_pull_secret: Label | None = Field(None, description="to fetch the image with")
    image_pull_secrets: tuple[DnsName, ...] = Field((), description="more of them")
    labels: dict[LabelKey, LabelValue] = Field({}, description="labels of its objects and pods, such as your group's")
    annotations: dict[LabelKey, str] = Field({}, description="annotations of its objects and pods: any text")
    priority_class: DnsName | None = Field(None, description="a PriorityClass; null: the cluster's")
    affinity: dict[Literal["nodeAffinity", "podAffinity", "podAntiAffinity"], dict[str, Any]] = Field(
        {}, description="where pods go, as Kubernetes has it in a pod"
    )
    secrets: dict[str, SecretKey] = Field({}, description="variables taken from a Secret: NAME: {secret: …, key: …}")
    prepare: PodPreparation = Field(PodPreparation(), description="the pods that tokenise first (--prepare)")
    user: int = Field(1000, ge=1, le=2**32 - 2, description="user and group number of the processes")

    @property
    def data_root(self) -> Path:
        return self.data.path

    @property
    def prepared_rows(self) -> Path:
        return self.cache or self.runs.path / "prepared"

    @property
    def training_runtime(self) -> str:
        return self.runtime or f"xdist-{self.policy}"

    @model_validator(mode="after")
    def _policy_of_a_trainjob(self) -> "Kubernetes":
        if self.policy == "mpi" and self.form != "trainjob":
            raise ValueError("policy: mpi needs form: trainjob")
        return self

    @model_validator(mode="after")
    def _as_kubernetes_takes_them(self) -> "Kubernetes":
        for name in self.labels:
            if name == QUEUE or name.split("/")[0] in CONTROLLERS:
                raise ValueError(f"labels: '{name}' is set by a controller; a LocalQueue of Kueue is the key 'queue'")
        if self.priority_class and self.form == "trainjob":
            raise ValueError("priority_class: a TrainJob has no such field: set it in its runtime, or use form: job")
        if sum(len((key + value).encode()) for key, value in self.annotations.items()) > MOST_ANNOTATIONS:
            raise ValueError(f"annotations: at most {MOST_ANNOTATIONS:,} bytes in all, as Kubernetes takes them")
        return self

    @property
    def object_labels(self) -> dict[str, str]:
        """Labels of what is queued."""
        return {**self.labels, **({QUEUE: self.queue} if self.queue else {})}

    @property
    def pull_secrets(self) -> list[dict[str, str]]:
        """References to what the image is fetched with."""
        first = (self.image_pull_secret,) if self.image_pull_secret else ()
        return [{"name": name} for name in dict.fromkeys((*first, *self.image_pull_secrets))]

    @model_validator(mode="after")
    def _secret_names(self) -> "Kubernetes":
        for name in self.secrets:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in self.environment:
                raise ValueError(f"secrets: '{name}' is no name of a variable, or is also in environment")
        return self


class _Scheduler(Scheduler[Kubernetes]):
    name = "kubernetes"
    options = Kubernetes
    can = Capabilities(prepares=True, shared_files=False)

    def job(self, run: str, work: Module, folder: Path, options: Kubernetes, parts: int = 0) -> Job:
        return Job(run, work, folder, options.runs.path, options.python, parts)

    def render(self, job: Job, options: Kubernetes, config: str) -> dict[str, str]:
        """The file of objects, with `config` in a ConfigMap: the run's, or those that prepare its data if it has parts. Raises
        UserError for a run folder outside the volume for runs."""
        where = options.runs.path / job.folder
        if ".." in where.parts or not where.is_relative_to(options.runs.path):
            raise UserError(
                f"{job.folder}: the run folder must be below {options.runs.path}, where the pods see the volume for runs"
            )
        if job.parts:
            words = [job.python, "-m", "xdist.launch.part", CONFIG, options.runs.path, job.parts, options.prepare.cpus]
            common = {"job": job, "cluster": options, "config": config, "label": f"{job.label}-prepare"}
            return {PARTS: template("kubernetes/prepare.yaml.j2", **common, command=_words(*words))}
        start = [job.python, "-m", "xdist.launch.pod", job.work, CONFIG, options.runs.path]
        if options.policy == "mpi":
            start += ["--mpi", *options.environment, *options.secrets]
        text = template(
            f"kubernetes/{options.form}.yaml.j2",
            job=job,
            cluster=options,
            config=config,
            command=_words(*start),
            threads=max(1, _cores(options.cpu) // options.ranks),
            grace=seconds(options.save_time),
            time_limit=seconds(options.time_limit) if options.time_limit else None,
        )
        return {FILE: text}

    def submit(self, file: Path, after: Sequence[str] = ()) -> str:
        """Returns 'NAMESPACE/RESOURCE/NAME'. An ended job of this name is replaced."""
        job = next(one for one in yaml.safe_load_all(file.read_text(encoding="utf-8")) if one["kind"] in ("TrainJob", "Job"))
        resource = KINDS[job["kind"].lower()]
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        call(["kubectl", "delete", resource, name, f"--namespace={namespace}", "--ignore-not-found"])
        call(["kubectl", "apply", f"--filename={file}"])
        return f"{namespace}/{resource}/{name}"

    def ask(self, job: str) -> JobStatus:
        namespace, resource, name = job.split("/")
        shown = query_job(["kubectl", "get", resource, name, f"--namespace={namespace}", "--output=json"], gone="(NotFound)")
        if shown is None:
            return GONE
        conditions = json.loads(shown).get("status", {}).get("conditions", [])
        holding = {one["type"] for one in conditions if one["status"] == "True"}
        decides = next((one for one in CONDITIONS if one in holding), None)
        return JobStatus(CONDITIONS[decides], decides.upper()) if decides else JobStatus(JobState.RUNNING, "RUNNING")

    def cancel(self, job: str) -> None:
        namespace, resource, name = job.split("/")
        call(["kubectl", "delete", resource, name, f"--namespace={namespace}", "--ignore-not-found"])

    def watch(self, job: str) -> list[str]:
        namespace, resource, name = job.split("/")
        return [
            f"kubectl get pods --namespace={namespace} --selector={_pods(job)}",
            f"kubectl delete {resource} {name} --namespace={namespace}",
        ]

    def log(self, job: str, files: Path, lines: int, follow: bool) -> list[str]:
        namespace = job.split("/")[0]
        words = ["kubectl", "logs", f"--namespace={namespace}", f"--selector={_pods(job)}", "--prefix", f"--tail={lines}"]
        return [*words, "--follow"] if follow else words

    def restarts(self, options: Kubernetes) -> bool:
        return options.form == "trainjob"

    def check(self, options: Kubernetes) -> list[Finding]:
        from xdist.launch.doctor import kube

        return kube.check(options)

    def tensorboard(self, options: Kubernetes) -> str:
        """A Deployment of TensorBoard over the volume for runs, to be reached by `kubectl port-forward`."""
        command = _words(options.python, "-m", "tensorboard.main", "--logdir", options.runs.path, "--host", "127.0.0.1")
        return template("kubernetes/tensorboard.yaml.j2", cluster=options, command=command)


KUBERNETES = _Scheduler()


def _words(*words: object) -> list[str]:
    return [quoting.dollars(str(word)) for word in words]


def _cores(quantity: str) -> int:
    return int(quantity[:-1]) // 1000 if quantity.endswith("m") else int(float(quantity))


def _pods(job: str) -> str:
    _, resource, name = job.split("/")
    return f"jobset.sigs.k8s.io/jobset-name={name}" if resource == KINDS["trainjob"] else f"batch.kubernetes.io/job-name={name}"
