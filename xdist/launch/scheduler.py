"""What xdist has to know of where runs are executed: a kind of cluster declares its YAML, writes texts, and starts a run at
once (Direct) or submits it as a job (Scheduler). Only a kind's own file and templates hold its commands and its words.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Generic, TypeVar

from xdist.config import Cluster
from xdist.errors import UserError
from xdist.launch.doctor.finding import Finding
from xdist.launch.job import Job, Module
from xdist.registry import Registry
from xdist.run.folder import RunFolder

Options = TypeVar("Options", bound=Cluster)


class JobState(Enum):
    """The state of a job, with any scheduler; the value is how it is shown."""

    WAITING = "waits for another job"
    QUEUED = "waits to begin"
    RUNNING = "runs"
    FINISHED = "ended well"
    FAILED = "failed"
    STOPPED = "was ended from outside, or will never begin"  # cancelled, out of time, preempted; needs a job that failed
    GONE = "is not known any more"
    UNKNOWN = "cannot be requested"  # it may be there: never taken for lost, never submitted twice

    @property
    def over(self) -> bool:
        """Whether the job will not run (again)."""
        return self in (JobState.FINISHED, JobState.FAILED, JobState.STOPPED, JobState.GONE)

    @property
    def begun(self) -> bool:
        """Whether its ranks may have started in this start of the job."""
        return self not in (JobState.WAITING, JobState.QUEUED)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """`says`: the scheduler's own words, for people only."""

    state: JobState
    says: str


GONE = JobStatus(JobState.GONE, "gone")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What commands ask a kind of cluster for.

    `waits`: a job can wait until others have ended well. `prepares`: jobs without GPUs can prepare a run's data in parts
    before it; where jobs do not wait they are submitted alone. `arrays`: many runs can be submitted as one array, of which
    some run at a time. `shared_files`: the files of runs and data are here under the
    paths that the ranks see; where not, nothing can be found out about them from here.
    """

    waits: bool = False
    prepares: bool = False
    arrays: bool = False
    shared_files: bool = True


class Kind(ABC, Generic[Options]):
    """A kind of cluster, which a cluster's YAML names by its key `kind`. `options` declares the other keys, strictly read."""

    name: str
    options: type[Options]
    can = Capabilities()

    def job(self, run: str, work: Module, folder: Path, options: Options, parts: int = 0) -> Job:
        """The job of a run in `folder`, relative to where it is submitted, as its ranks see it."""
        here = Path.cwd()
        return Job(run, work, here / folder, here, options.interpreter, parts)

    @abstractmethod
    def render(self, job: Job, options: Options, config: str) -> dict[str, str]:
        """What is written into the folder `job.files`, by name; nothing is done. `config` is the text of the run's config.yaml,
        which is next to that folder. Of a scheduler each text is a job, each waits for the one before, and the run's is the
        last: `job.parts` says how many jobs or elements prepare its data first. Raises UserError for what the cluster cannot
        have."""

    def check(self, options: Options) -> list[Finding]:
        """For `xdist doctor`, where files are not shared: what can be asked from here."""
        return []

    def tensorboard(self, options: Options) -> str | None:
        """For `xdist monitor --cluster`: objects that show TensorBoard there; None where it is started by hand."""
        return None


class Direct(Kind[Options]):
    """A kind without a queue, whose ranks are started at once."""

    @abstractmethod
    def start(self, job: Job, folder: RunFolder, options: Options) -> int:
        """Run what config.yaml in `folder` says to its end, or say how to; the texts are written. Returns an exit code as
        `local.start` does."""


class Scheduler(Kind[Options]):
    """A kind with a queue. Jobs are numbers or names, of no meaning elsewhere, and are kept in the run folder. Every method may
    raise UserError with what the scheduler's command said.

    A job must end well if and only if the run has the mark `finished`. A job that restarts by itself after it was stopped and
    saved (`restarts`) writes into job/restarts how often it did.
    """

    node_variable = ""  # the environment variable that holds a node's name on each node, if it is not the host name

    @abstractmethod
    def submit(self, file: Path, after: Sequence[str] = ()) -> str:
        """Hand over one of the rendered texts, to begin when the jobs `after` have ended well; returns the job."""

    @abstractmethod
    def ask(self, job: str) -> JobStatus:
        """How the job is doing. Raises UserError when the scheduler does not answer, which is not GONE."""

    def state(self, job: str) -> JobStatus:
        """The same, but UNKNOWN with the reason when the scheduler does not answer."""
        try:
            return self.ask(job)
        except UserError as error:
            return JobStatus(JobState.UNKNOWN, f"UNKNOWN ({error})")

    @abstractmethod
    def cancel(self, job: str) -> None:
        """End the job, or keep it from beginning."""

    @abstractmethod
    def watch(self, job: str) -> list[str]:
        """Commands that show how the job is doing, and the one that ends it."""

    @abstractmethod
    def log(self, job: str, files: Path, lines: int, follow: bool) -> Path | list[str]:
        """The file with all output of the job in all its starts, or where there is none the command that shows the last
        `lines`; `files` is the run's folder `job`."""

    def full(self, refusal: str) -> bool:
        """Whether a job was refused, in the words `refusal`, since there are too many: later it may be taken."""
        return False

    def restarts(self, options: Options) -> bool:
        """Whether a job that was stopped and saved restarts by itself."""
        return False

    def trial(self, options: Options) -> Options:
        """The options for a job of some minutes that is not started again."""
        return options


KINDS: Registry[Kind[Any]] = Registry("kind", "xdist.launch.clusters")
register = KINDS.register
