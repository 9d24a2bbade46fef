"""A run as a SLURM job: what its cluster's YAML holds, the text of its script, handing it over, and asking how it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xdist.config import Cluster
from xdist.config.cluster import seconds
from xdist.config.fitting import Text
from xdist.config.plain import Duration, Interpreter, MemoryLimit, OneLine, OneWord
from xdist.config.section import Section
from xdist.launch import quoting
from xdist.launch.call import asked, call
from xdist.launch.job import Job, template
from xdist.launch.scheduler import GONE, Capabilities, JobState, JobStatus, Scheduler

FILE, PARTS, WHOLE = "job.sbatch", "prepare.sbatch", "prepared.sbatch"
# Words of `squeue`. Others, such as COMPLETING or SUSPENDED, are said of jobs whose ranks may be there.
STATES = {
    **dict.fromkeys(("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"), JobState.QUEUED),
    "COMPLETED": JobState.FINISHED,
    **dict.fromkeys(("FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL"), JobState.FAILED),
    **dict.fromkeys(("CANCELLED", "TIMEOUT", "DEADLINE", "PREEMPTED"), JobState.STOPPED),
}
REASONS = {"Dependency": JobState.WAITING, "DependencyNeverSatisfied": JobState.STOPPED}


class PreparationJob(Section):
    """What each job of `xdist submit --prepare` gets: cores and memory, no GPU."""

    cpus: int = Field(4, ge=1, le=10_000)
    memory: MemoryLimit = "8G"
    time_limit: Duration = "4h"
    partition: OneWord | None = Field(None, description="null: the cluster's")


class Slurm(Cluster):
    kind: Literal["slurm"]
    time_limit: Duration
    save_time: Duration = Field(
        "10m", description="asked to save this long before the limit: longest step, saving and a minute"
    )
    max_restarts: int = Field(20, ge=0, le=100_000)
    partition: OneWord | None = None
    account: OneWord | None = None
    qos: OneWord | None = None
    constraint: OneWord | None = None
    reservation: OneWord | None = None
    gpu_type: OneWord | None = None
    cpus_per_node: int = Field(1, ge=1, le=10_000)
    memory: MemoryLimit = "0"
    exclusive: bool = False
    launcher: Literal["torchrun", "deepspeed"] = "torchrun"
    setup: tuple[OneLine, ...] = Field((), description="shell lines that set up the environment, such as 'module load cuda'")
    python: Interpreter | None = Field(None, description="interpreter on the nodes; null: the one that submits")
    scratch: Annotated[Path, Text.ELSEWHERE] | None = Field(
        None, description="folder on each node's own disk for what is compiled on first use"
    )
    prepare: PreparationJob = PreparationJob()

    @model_validator(mode="after")
    def _time_to_save(self) -> "Slurm":
        if seconds(self.save_time) >= seconds(self.time_limit):
            raise ValueError("save_time must be shorter than time_limit")
        if self.gpu_type and not self.gpus_per_node:
            raise ValueError("gpu_type needs gpus_per_node")
        return self


class _Scheduler(Scheduler[Slurm]):
    name = "slurm"
    options = Slurm
    can = Capabilities(waits=True, prepares=True)
    node_variable = "SLURMD_NODENAME"

    def render(self, job: Job, options: Slurm, config: str) -> dict[str, str]:
        """The batch script, after those that prepare its data, if any: the array of its parts, and the job that finds them
        whole. Raises UserError for a folder that cannot stand in an #SBATCH line."""
        quoting.directive(job.folder)
        text = template(
            "slurm/job.sbatch.j2",
            job=job,
            cluster=options,
            time_limit=_clock(options.time_limit),
            save_seconds=min(seconds(options.save_time), 65535),
            threads=max(1, options.cpus_per_node // options.ranks),
        )
        clock = _clock(options.prepare.time_limit)
        before = {
            name: template("slurm/prepare.sbatch.j2", job=job, cluster=options, parts=parts, time_limit=clock)
            for name, parts in ((PARTS, job.parts), (WHOLE, 0))
            if job.parts
        }
        return {**before, FILE: text}

    def submit(self, file: Path, after: Sequence[str] = ()) -> str:
        words = ["sbatch", "--parsable"]
        if after:
            words += [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"]
        return call([*words, str(file)]).split(";")[0].strip()

    def ask(self, job: str) -> JobStatus:
        shown = asked(["squeue", "--noheader", "--states=all", "--format=%T %r", f"--jobs={job}"], gone="Invalid job id")
        name, _, reason = (shown or "").strip().partition(" ")
        if not name:
            return GONE
        if name != "PENDING" or reason in ("", "None"):
            return JobStatus(STATES.get(name, JobState.RUNNING), name)
        return JobStatus(REASONS.get(reason, JobState.QUEUED), f"{name} ({reason})")

    def cancel(self, job: str) -> None:
        call(["scancel", job])

    def watch(self, job: str) -> list[str]:
        return [f"squeue --jobs={job}", f"scancel {job}"]

    def log(self, job: str, files: Path, lines: int, follow: bool) -> Path:
        return files / f"{job}.log"

    def restarts(self, options: Slurm) -> bool:
        return options.max_restarts > 0

    def trial(self, options: Slurm) -> Slurm:
        return options.model_copy(update={"time_limit": "15m", "save_time": "1m", "max_restarts": 0})


SLURM = _Scheduler()


def _clock(duration: str) -> str:
    minutes, left = divmod(seconds(duration), 60)
    return f"{minutes // 1440}-{minutes // 60 % 24:02}:{minutes % 60:02}:{left:02}"
