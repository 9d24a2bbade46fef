"""A start on this machine: all that can be checked, then its ranks, then how it ended. What commands and the API have in
common."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xdist.config import load_run
from xdist.config.scoring_run import check_age, overrides_of, run_of_checkpoint
from xdist.errors import RunError, UserError
from xdist.evaluation.overlap import overlaps
from xdist.evaluation.request import Request
from xdist.evaluation.scores import Scores, collapse_lines, subsets_without_gold, without_gold_line
from xdist.evaluation.to_do import ToDo, earlier_notes, plan_work
from xdist.launch import local
from xdist.launch.job import Work
from xdist.launch.prepared import launch
from xdist.resolve.resolved import Resolved, resolve
from xdist.run import devices
from xdist.run.folder import USER_ERROR
from xdist.run.lock import RunLock
from xdist.run.recorded import recorded_scores


@dataclass(frozen=True, slots=True)
class Finished:
    """The state of a run after `train` or `evaluate`.

    `folder`: the run's folder; `state`: "finished", or "unfinished" where it was stopped and saved, and the same call resumes;
    `scores`: the content of its scores.json, empty where nothing was scored; `started`: False where all was done already;
    `notes`: remarks on scores that existed already, such as languages without gold.
    """

    name: str
    folder: Path
    state: Literal["finished", "unfinished"]
    scores: Mapping[str, Any]
    started: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedStart:
    """A start of which everything was checked. `path` and `overrides` describe it to its ranks; `done`: nothing is left."""

    work: Work
    path: Path
    overrides: tuple[str, ...]
    resolved: Resolved
    request: Request | None
    todo: ToDo
    done: bool

    @property
    def notes(self) -> tuple[str, ...]:
        if self.request is None:
            return ()
        blanked = subsets_without_gold(self.request)
        shared = overlaps(self.request.lineage, (subset.task for subset in self.request.subsets))
        return (
            *earlier_notes(self.request, self.todo),
            *([without_gold_line(blanked)] if blanked else ()),
            *collapse_lines(self.request),
            *shared,
        )

    def go(self) -> Finished:
        """To its end. Raises UserError where another start uses the folder and for what ranks find wrong, RunError where the
        run broke."""
        run, folder = self.resolved.run, self.resolved.folder
        state: Literal["finished", "unfinished"] = "finished"
        if not self.done:
            RunLock(folder.path).check()
            state = self._end(launch(self.work, self.resolved, self.path, self.overrides))
        elif self.request and run.model.pretraining is not None:  # what it groups by may change when all else is done
            Scores(folder.scores, run.name).group_by(self.request.pretraining, self.request.read_since)
        scores = recorded_scores(folder.scores) if folder.scores.exists() else {}
        return Finished(run.name, folder.path, state, scores, not self.done, self.notes if self.done else ())

    def _end(self, code: int) -> Literal["finished", "unfinished"]:
        if code in (local.FINISHED, local.UNFINISHED):
            return "finished" if code == local.FINISHED else "unfinished"
        name, folder = self.resolved.run.name, self.resolved.folder
        reason = folder.reason().removeprefix(USER_ERROR) if folder.state == "failed" else ""
        error: UserError | RunError = RunError(f"{name} failed: {reason or 'see above'} ({folder.path})")
        if code == local.USER_ERROR:
            error = UserError(f"{name}: {reason or 'see above'} ({folder.path})")
        error.told = True
        raise error


def check_start(work: Work, path: Path, overrides: Sequence[str]) -> CheckedStart:
    """The start of the run that is described. Raises UserError for all that would end it before its first step."""
    resolved = resolve(load_run(path, overrides), work)
    request = resolved.request if resolved.run.evaluate else None
    todo = plan_work(request) if request else ToDo()  # what is wrong with it is said before anything is started
    done = resolved.folder.state == "finished" and not todo
    if not done:
        devices.check(resolved.run.runtime.ranks)
    return CheckedStart(work, path, tuple(overrides), resolved, request, todo, done)


def describe_run(sections: Mapping[str, Any], more: Sequence[str] = ()) -> tuple[Path, tuple[str, ...]]:
    """A run as path and overrides: an empty file, and all of it as overrides, so that every error names what was given."""
    return Path(os.devnull), (*overrides_of(sections), *more)


def of_model(model: str, tasks: Sequence[str], more: Sequence[str] = (), **options: Any) -> tuple[Path, tuple[str, ...]]:
    """The run that scores a model folder, as path and overrides; `options` are those of `run_of_checkpoint`. Raises UserError
    where the model was written after it was scored."""
    path, overrides = describe_run(run_of_checkpoint(model, tasks, **options), more)
    run = load_run(path, overrides)
    check_age(Path(run.model.backbone), run.folder / "scores.json")
    return path, overrides
