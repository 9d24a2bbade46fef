"""From a run and a cluster to a job: what is asked for is written into the run folder, then handed to the scheduler."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xdist.config import Cluster, Kubernetes, Local, Run
from xdist.data.pieces import evaluation_pieces, training_pieces
from xdist.errors import UserError
from xdist.files import read_json, write_json, write_text, write_yaml, yaml_text
from xdist.launch import hosts, kubernetes, slurm
from xdist.launch.job import Job, Work
from xdist.runtime import ds_config
from xdist.runtime.run_folder import RunFolder

# Each has FILE, PARTS, WAITS, render, submit, state, watch, log, and where jobs wait for others prepare and cancel: a new
# scheduler is one such module and its templates.
SCHEDULERS: dict[str, Any] = {"slurm": slurm, "kubernetes": kubernetes}
RENDERERS: dict[str, Any] = {**SCHEDULERS, "hosts": hosts}
ENDED = ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "COMPLETE"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a submission writes. `run` is what the job reads, `work` what it does; `texts` what its scheduler reads,
    by file name; none on this machine."""

    run: Run
    description: Path
    cluster: Cluster
    work: Work
    job: Job
    texts: dict[str, str]

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.run.folder)

    @property
    def files(self) -> Path:
        return self.run.folder / "job"


def plan(run: Run, description: Path, cluster: Cluster, only_evaluate: bool = False, parts: int = 0) -> Plan:
    """What `submit` would do; `parts` jobs prepare the data first. Raises UserError for what the run, the cluster or the run
    folder cannot have."""
    work: Work = "evaluate" if only_evaluate or run.train is None else "train"
    if work == "evaluate" and run.evaluate is None:
        raise UserError(f"{description}: run '{run.name}' has no section 'evaluate'")
    resolved = on_cluster(run, cluster)
    RunFolder(run.folder).check(resolved)
    ds_config.read(ds_config.find(run.runtime.deepspeed))
    training_pieces(resolved)
    python = getattr(cluster, "python", None) or sys.executable
    if isinstance(cluster, Kubernetes):  # whose volumes are not seen from here
        evaluation_pieces(_without_files(resolved))
        job = Job(run.name, work, run.folder, cluster.runs.path, python, parts)
    else:
        evaluation_pieces(resolved)
        job = Job(run.name, work, Path.cwd() / run.folder, Path.cwd(), python, parts)
    config = yaml_text(resolved.dump())
    texts = {} if isinstance(cluster, Local) else RENDERERS[cluster.kind].render(job, cluster, config)
    return Plan(resolved, description, cluster, work, job, texts)


def _without_files(run: Run) -> Run:
    """The run asking for no language, so that only the names of its tasks are checked."""
    return run.model_copy(update={"evaluate": run.evaluate and run.evaluate.model_copy(update={"languages": ()})})


def on_cluster(run: Run, cluster: Cluster) -> Run:
    """The run with the cluster's paths and number of processes in place of its own; its identity stays."""
    root, cache = cluster.data, cluster.cache
    if isinstance(cluster, Kubernetes):
        root, cache = cluster.data.path, cache or cluster.runs.path / "prepared"
    data = {key: value for key, value in (("root", root), ("cache", cache)) if value is not None}
    return run.model_copy(
        update={
            "data": run.data.model_copy(update=data),
            "runtime": run.runtime.model_copy(update={"ranks": cluster.ranks}),
        }
    )


def write(plan: Plan) -> None:
    """Put what is asked for into the run folder, from where the job can be started again by hand."""
    plan.folder.announce(plan.run)
    plan.files.mkdir(exist_ok=True)
    if plan.description.resolve() != (plan.files / "run.yaml").resolve():
        shutil.copyfile(plan.description, plan.files / "run.yaml")
    values = plan.cluster.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    write_yaml(plan.files / "cluster.yaml", values)
    for name, text in plan.texts.items():
        write_text(plan.files / name, text)


def submit(plan: Plan, after: Sequence[str] = ()) -> str:
    """Write and hand over; returns the job's number or name: of the run, or of its preparation where no job waits for another
    and the run is to be submitted after it. Raises UserError when a job of this run still waits or runs."""
    scheduler = SCHEDULERS[plan.cluster.kind]
    if there := live(plan.run.folder, plan.cluster.kind):
        raise UserError(f"{plan.run.folder}: job {there[0]} of this run is {there[1]}; end it first, or wait")
    write(plan)
    files = plan.files.absolute()
    if plan.job.parts and not scheduler.WAITS:
        job = scheduler.submit(files / scheduler.PARTS)
        before = [job]
    else:
        before = scheduler.prepare(files, after) if plan.job.parts else []
        job = scheduler.submit(files / scheduler.FILE, before[-1:] or after)
    values = {"kind": plan.cluster.kind, "job": job, "submitted": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(plan.files / "job.json", {**values, **({"prepare": before} if before else {})})
    return str(job)


def live(folder: Path, kind: str) -> tuple[str, str] | None:
    """The job of this run that a scheduler of that kind will run or is running, and its word for it."""
    there = record(folder)
    if not there or there["kind"] != kind:
        return None
    state = SCHEDULERS[kind].state(there["job"])
    return (there["job"], state) if state and not ended(state) else None


def record(folder: Path) -> dict[str, Any] | None:
    """Which scheduler has this run, and under which number; None for a run that was never submitted."""
    try:
        return read_json(folder / "job" / "job.json")
    except FileNotFoundError:
        return None


def ended(state: str) -> bool:
    """Whether a scheduler's word means that the job will not run (again)."""
    return state.split()[0] in ENDED or "DependencyNeverSatisfied" in state


def local_environment(cluster: Local) -> None:
    os.environ.update(cluster.environment)
