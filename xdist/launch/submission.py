"""From a run and a cluster to a job: what is requested is written into the run folder, then submitted to the scheduler."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from xdist.config import Cluster, Run
from xdist.data.look import find_without_gold
from xdist.errors import UserError, writing
from xdist.evaluation.to_do import plan_work
from xdist.files import write_json, write_text, write_yaml, yaml_text
from xdist.launch.clusters import kind_of, scheduler
from xdist.launch.job import Job, Work
from xdist.launch.scheduler import JobStatus, Scheduler
from xdist.resolve.encoder import Encoder
from xdist.resolve.resolved import resolve
from xdist.run.folder import RunFolder
from xdist.run.recorded import recorded_json


class _Job(BaseModel):
    kind: str
    job: str
    prepare: tuple[str, ...] = ()


_SUBMITTED = TypeAdapter(_Job)


@dataclass(frozen=True, slots=True)
class Submission:
    """Everything that a submission writes. `run` is what the job reads, `work` what it does; `texts` what the cluster gets, by
    file name, as Kind.render gives them; `warning` what could not be looked at."""

    run: Run
    description: Path
    cluster: Cluster
    work: Work
    job: Job
    texts: dict[str, str]
    warning: str = ""

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.run.folder)

    @property
    def files(self) -> Path:
        return self.run.folder / "job"

    @property
    def only_prepares(self) -> bool:
        """Whether the run itself is to be submitted later, when its data is prepared, since no job waits for another."""
        return bool(self.job.parts) and not kind_of(self.cluster).can.waits


@dataclass(frozen=True, slots=True)
class Submitted:
    """What `file` in the run folder holds of its submission: the `kind` of the scheduler, its `job`, and the jobs that prepare
    the data, of which `job` is one where the run itself was not submitted."""

    file: Path
    kind: str
    job: str
    prepare: tuple[str, ...] = ()

    @property
    def scheduler(self) -> Scheduler[Any]:
        """Raises UserError where it is not known here."""
        try:
            return scheduler(self.kind)
        except UserError as error:
            raise UserError(f"{self.file}: {error}") from None

    @property
    def only_prepares(self) -> bool:
        return self.job in self.prepare


def plan(
    run: Run,
    description: Path,
    cluster: Cluster,
    only_evaluate: bool = False,
    parts: int = 0,
    to_come: bool = False,
    begins_with: Encoder | None = None,
) -> Submission:
    """What `submit` would do; `parts` jobs prepare the data first; `to_come` and `begins_with` as in `resolve`.

    Raises UserError for what the run, the cluster or the run folder cannot have.
    """
    work: Work = "evaluate" if only_evaluate or run.train is None else "train"
    kind, there = kind_of(cluster), on_cluster(run, cluster)
    data_here = kind.can.shared_files and not cluster.remote
    resolved = resolve(there, work, to_come=to_come, begins_with=begins_with, data_here=data_here, starts_here=False)
    if data_here:
        trained = resolved.subsets.trained if work == "train" else ()
        find_without_gold(there.data.root, (*trained, *resolved.subsets.aligned), resolved.subsets.evaluation)
        if resolved.run.evaluate:
            plan_work(resolved.request)  # other predictions than the run's are reported now, not when the job begins
    warning = f"{there.data.root}: not checked: cluster.data is remote" if cluster.remote else ""
    job = kind.job(run.name, work, run.folder, cluster, parts)
    texts = kind.render(job, cluster, yaml_text(there.dump()))
    return Submission(there, description, cluster, work, job, texts, warning)


def on_cluster(run: Run, cluster: Cluster) -> Run:
    """The run with the cluster's paths and number of processes instead of those of the run; its identity stays."""
    paths = {"root": cluster.data_root, "cache": cluster.prepared_rows}
    data = {key: value for key, value in paths.items() if value is not None}
    return run.model_copy(
        update={
            "data": run.data.model_copy(update=data),
            "runtime": run.runtime.model_copy(update={"ranks": cluster.ranks}),
        }
    )


def write_job(plan: Submission) -> None:
    """Put what is requested into the run folder, from where the job can be started again by hand. Raises UserError where
    another start uses the run, RunError where the folder cannot be written to."""
    plan.folder.announce(plan.run)
    values = plan.cluster.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    with writing(plan.run.folder):
        plan.files.mkdir(exist_ok=True)
        if plan.description.resolve() != (plan.files / "run.yaml").resolve():
            shutil.copyfile(plan.description, plan.files / "run.yaml")
        write_yaml(plan.files / "cluster.yaml", values)
        for name, text in plan.texts.items():
            write_text(plan.files / name, text)


def submit(plan: Submission, after: Sequence[str] = ()) -> str:
    """Write and hand over, each text after the one before it; returns the job of the last. Raises UserError when a job of this
    run still waits or runs, and where the scheduler refuses one, with those before it taken back."""
    there = scheduler(plan.cluster.kind)
    if found := live_job(plan.run.folder, plan.cluster.kind):
        raise UserError(f"{plan.run.folder}: job {found[0]} of this run is {found[1].says}; end it first, or wait")
    write_job(plan)
    jobs: list[str] = []
    try:
        for name in plan.texts:
            jobs.append(there.submit(plan.files.absolute() / name, jobs[-1:] or after))
    except UserError:
        for job in reversed(jobs):
            with suppress(UserError):
                there.cancel(job)
        raise
    record_job(plan, jobs[-1], jobs if plan.only_prepares else jobs[:-1])
    return jobs[-1]


def record_job(plan: Submission, job: str, prepare: Sequence[str] = ()) -> None:
    """Keep in the run folder which job has the run, and those that prepare its data."""
    values = {"kind": plan.cluster.kind, "job": job, "submitted": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(plan.files / "job.json", {**values, **({"prepare": prepare} if prepare else {})})


def live_job(folder: Path, kind: str) -> tuple[str, JobStatus] | None:
    """The job of this run that a scheduler of that kind will run or is running, and how it is doing."""
    there = recorded_job(folder)
    if not there or there.kind != kind:
        return None
    status = there.scheduler.state(there.job)
    return None if status.state.over else (there.job, status)


def recorded_job(folder: Path) -> Submitted | None:
    """Which scheduler has this run, under which number; None for a run that was never submitted. Raises DamagedError."""
    file = folder / "job" / "job.json"
    if not file.exists():
        return None
    there = recorded_json(file, _SUBMITTED)
    return Submitted(file, there.kind, there.job, there.prepare)
