"""A run as a SLURM job: the text of its script, handing it over, and asking how it is."""

from collections.abc import Sequence
from pathlib import Path

from xdist.config import Slurm
from xdist.config.cluster import seconds
from xdist.errors import UserError
from xdist.launch import quoting
from xdist.launch.call import asked, call, unknown
from xdist.launch.job import Job, template

FILE = "job.sbatch"
WAITS = True  # a job can wait for others
PARTS, WHOLE = "prepare.sbatch", "prepared.sbatch"


def render(job: Job, cluster: Slurm, config: str) -> dict[str, str]:
    """The batch script, after those that prepare its data, if any; all read `config` from the run folder. Raises UserError for
    a folder that cannot stand in an #SBATCH line."""
    quoting.directive(job.folder)
    text = template(
        "slurm/job.sbatch.j2",
        job=job,
        cluster=cluster,
        time_limit=_clock(seconds(cluster.time_limit)),
        save_seconds=min(seconds(cluster.save_time), 65535),
        threads=max(1, cluster.cpus_per_node // cluster.ranks),
    )
    clock = _clock(seconds(cluster.prepare.time_limit))
    before = {
        name: template("slurm/prepare.sbatch.j2", job=job, cluster=cluster, parts=parts, time_limit=clock)
        for name, parts in ((PARTS, job.parts), (WHOLE, 0))
        if job.parts
    }
    return {**before, FILE: text}


def prepare(files: Path, after: Sequence[str] = ()) -> list[str]:
    """Hand over the scripts that prepare a run's data: the array of its parts, and the job that finds them whole; returns
    their numbers in this order. Raises UserError."""
    array = submit(files / PARTS, after)
    return [array, submit(files / WHOLE, [array])]


def submit(script: Path, after: Sequence[str] = ()) -> str:
    """Hand the script over, to begin when the jobs `after` have ended well; returns the job's number. Raises UserError."""
    words = ["sbatch", "--parsable"]
    if after:
        words += [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"]
    return call([*words, str(script)]).split(";")[0].strip()


def cancel(job: str) -> None:
    """Raises UserError."""
    call(["scancel", job])


def state(job: str) -> str:
    """As SLURM names it, such as PENDING or RUNNING, with the reason for waiting; '' when it no longer knows the job,
    UNKNOWN with the reason when it does not answer."""
    try:
        shown = asked(["squeue", "--noheader", "--states=all", "--format=%T %r", f"--jobs={job}"], gone="Invalid job id")
    except UserError as error:
        return unknown(error)
    name, _, reason = (shown or "").strip().partition(" ")
    return f"{name} ({reason})" if reason not in ("", "None") and name == "PENDING" else name


def watch(job: str, files: Path) -> list[str]:
    """Commands that show how the job is doing, and the one that ends it."""
    return [f"squeue --jobs={job}", f"scancel {job}"]


def log(job: str, files: Path, lines: int, follow: bool) -> list[str]:
    """The command that shows the last `lines` of what the job said."""
    return ["tail", f"--lines={lines}", *(["-F"] if follow else []), "--", str(files / f"{job}.log")]


def _clock(duration: int) -> str:
    minutes, left = divmod(duration, 60)
    return f"{minutes // 1440}-{minutes // 60 % 24:02}:{minutes % 60:02}:{left:02}"
