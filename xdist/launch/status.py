"""How runs are doing, from their folders and, where one has them, from their scheduler."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from xdist.config import Run, load_run, load_study
from xdist.config.loading import read_yaml, validated
from xdist.errors import UserError
from xdist.launch.submission import SCHEDULERS, ended, record
from xdist.runtime import tags
from xdist.runtime.lock import RunLock
from xdist.runtime.run_folder import RunFolder

RECENT = 20  # logged steps that the speed is taken from


@dataclass(frozen=True, slots=True)
class Status:
    """`steps` is None where it follows from data and epochs; `left` is None where nothing is known or left to do."""

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


def find(paths: Iterable[Path]) -> list[Path]:
    """The run folders that `paths` name: a run's YAML, a study's, a run folder, or a folder with runs below it. Raises
    UserError."""
    found: list[Path] = []
    for path in paths:
        if path.is_file() and "stages" in read_yaml(path)[0]:
            path = load_study(path).folder
        if path.is_file():
            found.append(load_run(path).folder)
        elif (path / "config.yaml").is_file():
            found.append(path)
        else:
            below = sorted(file.parent for file in path.rglob("config.yaml") if "checkpoints" not in file.parts)
            if not below:
                raise UserError(f"{path}: no run folder, and none below it")
            found += below
    return list(dict.fromkeys(found))


def status(path: Path) -> Status:
    """Of the run in the folder `path`. Raises UserError when it holds none."""
    folder = RunFolder(path)
    values, source = read_yaml(folder.config)
    run = validated(Run, values, source)
    there = record(path)
    says = SCHEDULERS[there["kind"]].state(there["job"]) if there and there["kind"] in SCHEDULERS else ""
    metrics = _metrics(folder)
    step = int(metrics[-1]["step"]) if metrics else 0
    steps = run.train.steps if run.train else None
    saved = tags.tags(folder.checkpoints)
    state = _state(folder, bool(there), says)
    restarts = path / "job" / "restarts"
    return Status(
        run=run.name,
        folder=path,
        state=state,
        job=f"{there['job']} {says or 'gone'}" if there else "",
        step=step,
        steps=steps,
        loss=next((line["train/loss"] for line in reversed(metrics) if "train/loss" in line), None),
        left=_left(folder, step, steps) if state == "running" else None,
        saved=saved[-1].step if saved else None,
        restarts=int(restarts.read_text() or 0) if restarts.exists() else 0,
        reason=folder.reason(),
    )


def _state(folder: RunFolder, submitted: bool, says: str) -> str:
    """The run's own word, but where that is out of date: a job that has not begun, or one or ranks on this machine that
    ended without leaving a mark."""
    waits = bool(says) and not ended(says)
    if folder.state in ("unfinished", "failed"):
        return "queued" if waits else folder.state
    if folder.state != "running":
        return folder.state
    if (submitted and not waits) or (not submitted and RunLock(folder.path).left_behind()):
        return "lost"
    if folder.environment.exists() and not says.startswith("PENDING"):
        return "running"
    return "queued" if submitted else "not started"


def _metrics(folder: RunFolder) -> list[dict[str, Any]]:
    if not folder.metrics.exists():
        return []
    lines = folder.metrics.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[-RECENT:] if line.endswith("}")]


def _left(folder: RunFolder, step: int, steps: int | None) -> timedelta | None:
    """Steps left times the median time of recent ones; the events know when each was logged, metrics.jsonl does not."""
    if steps is None or step >= steps or not folder.tensorboard.is_dir():
        return None
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder.tensorboard))
    events.Reload()
    if "train/loss" not in events.Tags()["scalars"]:
        return None
    points = events.Scalars("train/loss")[-RECENT:]
    pairs = [(a, b) for a, b in pairwise(points) if b.step > a.step]
    if not pairs:
        return None
    return timedelta(seconds=round((steps - step) * median((b.wall_time - a.wall_time) / (b.step - a.step) for a, b in pairs)))


def job(path: Path) -> dict[str, Any]:
    """Which scheduler has the run. Raises UserError when it was never submitted."""
    there = record(path)
    if not there:
        raise UserError(f"{path}: this run was never submitted; `xdist train` says what it has to say where it was started")
    return there
