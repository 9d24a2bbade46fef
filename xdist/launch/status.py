"""Which runs there are, and how they are doing, from their folders and, where one has them, from their scheduler."""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from xdist.checkpoint import tags
from xdist.config import load_study, recorded_run
from xdist.config.loading import plain_yaml
from xdist.config.run import RECORD
from xdist.errors import UserError, one_line
from xdist.launch.scheduler import JobState, JobStatus
from xdist.launch.submission import Submitted, recorded_job
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock
from xdist.run.recorded import DamagedError, logged_steps, recorded_text, unless_damaged

RECENT = 20  # logged steps that the speed is taken from
LONGEST = 100  # letters of a run in the name of a link


@dataclass(frozen=True, slots=True)
class Status:
    """`job` is the job and what its scheduler says of it; `steps` is None where it follows from data and epochs; `left` is None
    where nothing is known or left to do; `reason` says why the run failed or was lost, and what of its folder is damaged."""

    run: str
    folder: Path
    state: str
    job: str
    step: int
    steps: int | None
    loss: float | None
    left: timedelta | None
    saved: int | None
    restarts: int
    reason: str


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """The run folders that `paths` name: a run's YAML, a study's, a run folder, or a folder with runs below it. Raises
    UserError."""
    folders: list[Path] = []
    for path in paths:
        if path.is_file() and "stages" in plain_yaml(path):
            path = load_study(path).folder
        if path.is_file():
            folders.append(recorded_run(path).folder)
        elif (path / RECORD).is_file():
            folders.append(path)
        else:
            files = (file for file in path.rglob(RECORD) if "checkpoints" not in file.relative_to(path).parts)
            below = sorted(file.parent for file in files)
            if not below:
                raise UserError(f"{path}: no run folder, and none below it")
            folders += below
    return list(dict.fromkeys(folders))


def status(path: Path) -> Status:
    """Of the run in the folder `path`. Raises UserError when it holds none. Other damage there is reported."""
    folder = RunFolder(path)
    run = recorded_run(folder.config)
    damage: list[str] = []
    submitted = unless_damaged(lambda: recorded_job(path), None, damage)
    job = _ask_scheduler(submitted) if submitted else None
    nothing: list[dict[str, Any]] = []
    metrics = unless_damaged(lambda: _metrics(folder), nothing, damage)
    step = int(metrics[-1]["step"]) if metrics else 0
    steps = run.train.steps if run.train else None
    saved = tags.list_tags(folder.checkpoints)
    state = _state(folder, submitted, job)
    reason = _lost_reason(job, path) if state == "lost" else one_line(folder.reason())
    return Status(
        run=run.name,
        folder=path,
        state=state,
        job=f"{submitted.job} {job.says}" if submitted and job else "",
        step=step,
        steps=steps,
        loss=next((loss for line in reversed(metrics) if (loss := _loss(line)) is not None), None),
        left=_time_left(folder, step, steps) if state == "running" else None,
        saved=saved[-1].step if saved else None,
        restarts=unless_damaged(lambda: _restarts(path / "job" / "restarts"), 0, damage),
        reason="; ".join(filter(None, (reason, *damage))),
    )


def statuses(folders: Iterable[Path]) -> Iterator[Status | UserError]:
    """Of each run, or why it is unknown: one bad folder hides no other."""
    for folder in folders:
        try:
            yield status(folder)
        except UserError as error:
            yield error


def _ask_scheduler(submitted: Submitted) -> JobStatus:
    try:
        return submitted.scheduler.state(submitted.job)
    except UserError as error:  # of a kind that is not known here, where the run may still be doing well
        return JobStatus(JobState.UNKNOWN, f"UNKNOWN ({error})")


def _state(folder: RunFolder, submitted: Submitted | None, job: JobStatus | None) -> str:
    """The state that the run wrote, except where that is out of date: a job that has not started, or one or ranks on this
    machine that ended without leaving a mark."""
    waits = job is not None and not job.state.over
    if folder.state in ("unfinished", "failed"):
        return "queued" if waits else folder.state
    if folder.state != "running":
        return folder.state
    if submitted is None or job is None:
        if RunLock(folder.path).left_behind():
            return "lost"
        return "running" if folder.environment.exists() else "not started"
    begun = folder.environment.exists()
    if not begun and job.state is not JobState.UNKNOWN and not submitted.scheduler.can.shared_files:
        return _state_of_job(submitted, job.state)
    if not waits:
        return "lost"
    return "running" if begun and job.state.begun else "queued"


def _state_of_job(submitted: Submitted, job: JobState) -> str:
    """Of a run whose folder is not seen from here: what its job says, or the one that prepares its data."""
    if job is JobState.FAILED:
        return "failed"
    if job is JobState.FINISHED:
        return "not started" if submitted.only_prepares else "finished"
    if job.over:
        return "lost"
    return "running" if job.begun and not submitted.only_prepares else "queued"


def _lost_reason(job: JobStatus | None, path: Path) -> str:
    if job is None:
        return "its ranks on this machine ended without a word; start it again"
    if job.state is JobState.STOPPED:
        return f"its job {job.state.value} ({job.says}); submit it again"
    return f"its job ended without a word; xdist logs {path}, then submit it again"


def _metrics(folder: RunFolder) -> list[dict[str, Any]]:
    """The last ones that were logged."""
    if not folder.metrics.exists():
        return []
    return [entry for _, entry in deque(logged_steps(folder.metrics), RECENT)]


def _loss(line: Mapping[str, Any]) -> float | None:
    loss = line.get("train/loss")
    return loss if isinstance(loss, float) else None


def _restarts(file: Path) -> int:
    if not file.exists():
        return 0
    text = recorded_text(file).strip() or "0"
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise DamagedError(f"{file}: is no number")
    return int(text)


def _time_left(folder: RunFolder, step: int, steps: int | None) -> timedelta | None:
    """Steps left times the median time of recent ones; the events know when each was logged, metrics.jsonl does not."""
    if steps is None or step >= steps or not folder.tensorboard.is_dir():
        return None
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not all(file.is_file() for file in folder.tensorboard.iterdir() if file.name.startswith("events")):
        return None
    events = EventAccumulator(str(folder.tensorboard))
    try:
        events.Reload()
    except Exception:  # any error of TensorBoard on damaged events: the time left is not known then
        return None
    if "train/loss" not in events.Tags()["scalars"]:
        return None
    points = events.Scalars("train/loss")[-RECENT:]
    pairs = [(a, b) for a, b in pairwise(points) if b.step > a.step]
    if not pairs:
        return None
    return timedelta(seconds=round((steps - step) * median((b.wall_time - a.wall_time) / (b.step - a.step) for a, b in pairs)))


def find_submission(path: Path) -> Submitted:
    """Which scheduler has the run. Raises UserError when it was never submitted."""
    submitted = recorded_job(path)
    if not submitted:
        raise UserError(f"{path}: this run was neither submitted nor started on this machine by xdist")
    return submitted


def log_command(path: Path, lines: int, follow: bool) -> list[str]:
    """The command that shows the last `lines` of what the run in `path` said: where its ranks were started on this machine
    after it was last submitted, if ever, else its job. Raises UserError when it was never started or has not said anything."""
    files, local = path / "job", RunFolder(path).log
    if local.exists() and (recorded_job(path) is None or local.stat().st_mtime > (files / "job.json").stat().st_mtime):
        return _tail(local, lines, follow)
    submitted = find_submission(path)
    command = submitted.scheduler.log(submitted.job, files, lines, follow)
    if not isinstance(command, Path):
        return command
    if not command.exists() and not follow:
        state = submitted.scheduler.state(submitted.job).says
        logs = ", ".join(map(str, sorted(files.glob("*.log"))))
        raise UserError(f"{path}: job {submitted.job} has no output yet: {state}{logs and f'; see {logs}'}")
    return _tail(command, lines, follow)


def _tail(file: Path, lines: int, follow: bool) -> list[str]:
    return ["tail", f"--lines={lines}", *(["-F"] if follow else []), "--", str(file)]


def link_events(folders: Iterable[Path], into: Path) -> tuple[list[str], list[UserError]]:
    """Make links below `into` to the events of runs, as TensorBoard wants them, and return their names: a run's own name, with
    its folder's where two runs share one; and what is wrong with folders that cannot be read. A run that has logged nothing yet
    gets a link that its events will appear under."""
    runs: dict[str, list[Path]] = {}
    wrong: list[UserError] = []
    for path in folders:
        try:
            name = recorded_run(RunFolder(path).config).name.replace("/", "-")[:LONGEST]
            runs.setdefault(name, []).append(path)
        except UserError as error:
            wrong.append(error)
    names: list[str] = []
    for name, paths in runs.items():
        for path in paths:
            unique = name if len(paths) == 1 else f"{name} ({path.parent.name}-{path.name})"
            if unique in names:
                unique = f"{name} ({str(path.absolute()).replace('/', '-')[-LONGEST:]})"
            (into / unique).symlink_to(RunFolder(path).tensorboard.resolve())
            names.append(unique)
    return names, wrong
