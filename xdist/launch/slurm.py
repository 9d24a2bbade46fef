"""A run as a SLURM job: what its cluster's YAML holds, the text of its script, handing it over, and asking how it is."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xdist.config import Cluster
from xdist.config.cluster import seconds
from xdist.config.fitting import Text
from xdist.config.plain import (
    Bind,
    Duration,
    Features,
    GenericResources,
    Interpreter,
    MailAddress,
    MemoryLimit,
    NodeNames,
    OneLine,
    OneWord,
)
from xdist.config.section import Section
from xdist.launch import quoting
from xdist.launch.arrays import JobArray
from xdist.launch.call import call, query_job
from xdist.launch.job import Job, template
from xdist.launch.sbatch import CommandWords, SbatchLine, folders_of, in_container
from xdist.launch.scheduler import GONE, Capabilities, JobState, JobStatus, Scheduler
from xdist.launch.slurm_arrays import SlurmArrays

# What sbatch says where a limit on the number of jobs is reached; the second also of a job too large for a limit.
FULL = ("MaxSubmit", "job submit limit", "temporarily unable to accept job", "Resource temporarily unavailable")
CPUS_PER_GPU = 8
Mail = Literal[
    "BEGIN", "END", "FAIL", "REQUEUE", "ALL", "NONE", "INVALID_DEPEND", "TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80"
]
FILE, PARTS, WHOLE, ARRAY = "job.sbatch", "prepare.sbatch", "prepared.sbatch", "array.sbatch"
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

    cpus: int = Field(4, ge=1, le=10_000, description="processors, and processes that tokenise")
    memory: MemoryLimit = Field("8G", description="of a node")
    time_limit: Duration = Field("4h", description="after which the job is ended")
    partition: OneWord | None = Field(
        None, description="of nodes without GPUs; null: the site's, where the cluster names none either"
    )
    qos: OneWord | None = Field(None, description="null: the cluster's")
    sbatch: tuple[SbatchLine, ...] = Field((), description="more options of sbatch, as the cluster's")


class Slurm(Cluster):
    kind: Literal["slurm"]
    time_limit: Duration = Field(description="of each life of the job; the run saves before it and is queued again")
    save_time: Duration = Field(
        "10m", description="signalled to save this long before the limit: longest step, saving and a minute"
    )
    max_restarts: int = Field(20, ge=0, le=100_000, description="starts of the job after the first")
    partition: OneWord | None = Field(None, description="as sbatch has it; null: the site's")
    account: OneWord | None = Field(None, description="as sbatch has it; null: yours")
    qos: OneWord | None = Field(None, description="as sbatch has it; null: the site's")
    constraint: Features | None = Field(None, description="features that nodes must have")
    exclude: NodeNames | None = Field(None, description="nodes to keep away from, such as n3 or n[1-4]")
    reservation: OneWord | None = Field(None, description="a reservation to run in")
    gpu_type: OneWord | None = Field(None, description="as in --gpus-per-node=TYPE:N; null: any")
    gres: GenericResources | None = Field(
        None, description="for sites that know GPUs by --gres alone, such as gpu:a100:4; null: --gpus-per-node"
    )
    cpus_per_node: int | None = Field(
        None, ge=1, le=10_000, description=f"processors of each node; null: {CPUS_PER_GPU} for a GPU, or one for a rank"
    )
    memory: MemoryLimit | None = Field(
        None, description="of each node; null: the site's; 0: all of it, only with exclusive: true"
    )
    exclusive: bool = Field(False, description="no other job on these nodes")
    launcher: Literal["torchrun", "deepspeed"] = Field("torchrun", description="what starts the ranks on the nodes")
    mail_user: MailAddress | None = Field(None, description="who gets mail about the job; null: who submits, with mail_type")
    mail_type: tuple[Mail, ...] = Field((), description="what mail is about; none: END and FAIL, with mail_user")
    sbatch: tuple[SbatchLine, ...] = Field((), description="more options of sbatch, such as --licenses=nastran:1")
    setup: tuple[OneLine, ...] = Field(
        (), description="shell lines that set up the environment, such as 'module load cuda'; one that fails ends the job"
    )
    wrap: CommandWords | None = Field(None, description="command before python, such as 'singularity exec --nv /me/xdist.sif'")
    container: Annotated[Path, Text.ELSEWHERE] | None = Field(
        None, description="an image of Apptainer in which python is started; its folders are bound"
    )
    binds: tuple[Bind, ...] = Field((), description="more that the container sees: /there or /there:/inside")
    python: Interpreter | None = Field(
        None, description="interpreter on the nodes; null: the one that submits, or with container: python"
    )
    scratch: Annotated[Path, Text.ELSEWHERE] | None = Field(
        None, description="folder on each node's own disk for what is compiled on first use"
    )
    prepare: PreparationJob = Field(PreparationJob(), description="the job that tokenises first (--prepare)")

    @model_validator(mode="after")
    def _time_to_save(self) -> "Slurm":
        if seconds(self.save_time) >= seconds(self.time_limit):
            raise ValueError("save_time must be shorter than time_limit")
        if self.memory and not int(self.memory.rstrip("KMGT")) and not self.exclusive:
            raise ValueError("memory: 0, all of a node, needs exclusive: true")
        if self.wrap and self.container:
            raise ValueError("wrap: not together with container, which replaces it")
        if self.binds and not self.container:
            raise ValueError("binds needs container")
        return self

    @model_validator(mode="after")
    def _gpus(self) -> "Slurm":
        if self.gpu_type and not self.gpus_per_node:
            raise ValueError("gpu_type needs gpus_per_node")
        if self.gpu_type and self.gres:
            raise ValueError("gpu_type: not together with gres, which names the type")
        if self.gres and (asked := _gpus_in(self.gres)) != self.gpus_per_node:
            raise ValueError(f"gres: requests {asked} GPUs, gpus_per_node is {self.gpus_per_node}")
        return self

    @property
    def cpus(self) -> int:
        """Processors of each node."""
        return self.cpus_per_node or CPUS_PER_GPU * self.gpus_per_node or self.ranks

    @property
    def interpreter(self) -> str:
        return self.python or ("python" if self.container else super().interpreter)

    @property
    def mail(self) -> tuple[str, ...]:
        """What mail is about."""
        return self.mail_type or (("END", "FAIL") if self.mail_user else ())

    def before_python(self, job: Job, config: str, gpus: bool) -> list[str]:
        """The words that start python on the nodes; none where it is started as it is. Raises UserError for a path that
        Apptainer cannot be given."""
        if not self.container:
            return shlex.split(self.wrap or "")
        folders = [job.start, job.folder, *folders_of(config).values(), *([self.scratch] if self.scratch else [])]
        return in_container(self.container, self.binds, folders, gpus)

    def to_make(self, config: str) -> list[Path]:
        """Folders that must be there before the container can see them."""
        if not self.container:
            return []
        cache = folders_of(config).get("cache")
        return [folder for folder in (cache, self.scratch) if folder]


class _Scheduler(SlurmArrays, Scheduler[Slurm]):
    name = "slurm"
    options = Slurm
    can = Capabilities(waits=True, prepares=True, arrays=True)
    node_variable = "SLURMD_NODENAME"

    def render(self, job: Job, options: Slurm, config: str) -> dict[str, str]:
        """The batch script, after those that prepare its data, if any: the array of its parts, and the job that finds them
        complete. Raises UserError for a folder that cannot be in an #SBATCH line, and for data that would be prepared where
        the GPUs are."""
        quoting.directive(job.folder)
        if job.parts and options.gpus_per_node and options.partition and not options.prepare.partition:
            says = f"--prepare needs the partition of nodes without GPUs, which '{options.partition}' may not be: name one"
            raise options.error(("prepare", "partition"), says)
        python = options.before_python(job, config, bool(options.gpus_per_node))
        common = {"job": job, "cluster": options, "to_make": options.to_make(config)}
        text = template(
            "slurm/job.sbatch.j2",
            **common,
            words=python,
            **_times(options),
            threads=max(1, options.cpus // options.ranks),
        )
        common |= {"words": options.before_python(job, config, False), "time_limit": _clock(options.prepare.time_limit)}
        before = {
            name: template("slurm/prepare.sbatch.j2", **common, parts=parts)
            for name, parts in ((PARTS, job.parts), (WHOLE, 0))
            if job.parts
        }
        return {**before, FILE: text}

    def submit(self, file: Path, after: Sequence[str] = ()) -> str:
        words = ["sbatch", "--parsable"]
        if after:
            words += [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"]
        return call([*words, str(file)]).split(";")[0].strip()

    def render_array(self, array: JobArray, options: Slurm) -> tuple[str, str]:
        quoting.directive(array.folder)
        return ARRAY, template("slurm/array.sbatch.j2", array=array, cluster=options, **_times(options))

    def ask(self, job: str) -> JobStatus:
        shown = query_job(["squeue", "--noheader", "--states=all", "--format=%T %r", f"--jobs={job}"], gone="Invalid job id")
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

    def full(self, refusal: str) -> bool:
        return any(words in refusal for words in FULL)

    def restarts(self, options: Slurm) -> bool:
        return options.max_restarts > 0

    def trial(self, options: Slurm) -> Slurm:
        return options.model_copy(update={"time_limit": "15m", "save_time": "1m", "max_restarts": 0})


SLURM = _Scheduler()


def _times(options: Slurm) -> dict[str, object]:
    return {"time_limit": _clock(options.time_limit), "save_seconds": min(seconds(options.save_time), 65535)}


def _clock(duration: str) -> str:
    minutes, left = divmod(seconds(duration), 60)
    return f"{minutes // 1440}-{minutes // 60 % 24:02}:{minutes % 60:02}:{left:02}"


def _gpus_in(gres: str) -> int:
    """How many GPUs of a node resources such as `gpu:a100:4,disk:10` request."""
    asked = [one.split(":") for one in gres.split(",")]
    return sum(int(words[-1]) if words[-1].isdigit() else 1 for words in asked if words[0] == "gpu")
