"""A run as a Kubernetes job: a TrainJob of Kubeflow Trainer, or an Indexed Job with a headless Service where there is none."""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from xdist.config import Kubernetes
from xdist.config.cluster import seconds
from xdist.errors import UserError
from xdist.launch import quoting
from xdist.launch.call import asked, call, unknown
from xdist.launch.job import Job, template

FILE, PARTS = "job.yaml", "prepare.yaml"
WAITS = False  # no job waits for another
KINDS = {"trainjob": "trainjobs.trainer.kubeflow.org", "job": "jobs.batch"}
CONFIG = "/etc/xdist/config.yaml"


def render(job: Job, cluster: Kubernetes, config: str) -> dict[str, str]:
    """The file of objects, with `config` in a ConfigMap: the run's, or those that prepare its data if it has parts. Raises
    UserError for a run folder outside the volume for runs."""
    where = cluster.runs.path / job.folder
    if ".." in where.parts or not where.is_relative_to(cluster.runs.path):
        raise UserError(
            f"{job.folder}: the run folder must lie below {cluster.runs.path}, where the pods see the volume for runs"
        )
    if job.parts:
        words = [job.python, "-m", "xdist.launch.part", CONFIG, cluster.runs.path, job.parts, cluster.prepare.cpus]
        label = f"{job.label}-prepare"
        command = [quoting.dollars(str(word)) for word in words]
        return {
            PARTS: template("kubernetes/prepare.yaml.j2", job=job, cluster=cluster, config=config, label=label, command=command)
        }
    start = [job.python, "-m", "xdist.launch.pod", job.work, CONFIG, str(cluster.runs.path)]
    if cluster.policy == "mpi":
        start += ["--mpi", *cluster.environment, *cluster.secrets]
    text = template(
        f"kubernetes/{cluster.form}.yaml.j2",
        job=job,
        cluster=cluster,
        config=config,
        command=[quoting.dollars(word) for word in start],
        threads=max(1, _cores(cluster.cpu) // cluster.ranks),
        grace=seconds(cluster.save_time),
        time_limit=seconds(cluster.time_limit) if cluster.time_limit else None,
    )
    return {FILE: text}


def tensorboard(cluster: Kubernetes) -> str:
    """A Deployment of TensorBoard over the volume for runs, to be reached by `kubectl port-forward`."""
    words = [cluster.python, "-m", "tensorboard.main", "--logdir", str(cluster.runs.path), "--host", "127.0.0.1"]
    command = [quoting.dollars(word) for word in words]
    return template("kubernetes/tensorboard.yaml.j2", cluster=cluster, command=command)


def _cores(quantity: str) -> int:
    return int(quantity[:-1]) // 1000 if quantity.endswith("m") else int(float(quantity))


def submit(file: Path, after: Sequence[str] = ()) -> str:
    """Hand the objects over; returns 'NAMESPACE/RESOURCE/NAME'. An ended job of this name is replaced. Raises UserError."""
    job = next(one for one in yaml.safe_load_all(file.read_text(encoding="utf-8")) if one["kind"] in ("TrainJob", "Job"))
    resource = KINDS[job["kind"].lower()]
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    call(["kubectl", "delete", resource, name, f"--namespace={namespace}", "--ignore-not-found"])
    call(["kubectl", "apply", f"--filename={file}"])
    return f"{namespace}/{resource}/{name}"


def state(job: str) -> str:
    """The newest condition that holds, such as Complete, Failed or Suspended, else RUNNING; '' when there is no such job,
    UNKNOWN with the reason when the cluster does not answer."""
    namespace, resource, name = job.split("/")
    try:
        shown = asked(["kubectl", "get", resource, name, f"--namespace={namespace}", "--output=json"], gone="(NotFound)")
    except UserError as error:
        return unknown(error)
    if shown is None:
        return ""
    found = json.loads(shown)
    conditions = found.get("status", {}).get("conditions", [])
    holding = [one["type"] for one in conditions if one["status"] == "True"]
    return holding[-1].upper() if holding else "RUNNING"


def watch(job: str, files: Path) -> list[str]:
    """Commands that show how the job is doing, and the one that ends it."""
    namespace, resource, name = job.split("/")
    return [
        f"kubectl get pods --namespace={namespace} --selector={_pods(job)}",
        f"kubectl delete {resource} {name} --namespace={namespace}",
    ]


def log(job: str, files: Path, lines: int, follow: bool) -> list[str]:
    """The command that shows the last `lines` of what each pod said."""
    words = ["kubectl", "logs", f"--namespace={job.split('/')[0]}", f"--selector={_pods(job)}", "--prefix", f"--tail={lines}"]
    return [*words, "--follow"] if follow else words


def _pods(job: str) -> str:
    _, resource, name = job.split("/")
    return f"jobset.sigs.k8s.io/jobset-name={name}" if resource == KINDS["trainjob"] else f"batch.kubernetes.io/job-name={name}"
