"""What the worker scripts share: arguments as the deepspeed launcher passes them, quiet logs, one line for a user's error."""

import gc
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar, cast

from xdist.config import Run, load_run
from xdist.errors import OwnError, RankError, RunError, UserError
from xdist.run import aborting, distributed, heartbeat, lacking, libraries, stopping
from xdist.run import folder as run_folder
from xdist.run.folder import MARKS, RunFolder, RunState
from xdist.run.lasting import lasting
from xdist.run.lock import RunLock
from xdist.run.progress import say
from xdist.run.stopping import SIGNALS
from xdist.run.together import on_first, summary

T = TypeVar("T")

USER_ERROR = 2
ONLY_STEP = "--only-step="
SAYING = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Claim:
    """What every rank knows of its start's hold on the run folder: what the lock says, and the state that was found."""

    record: dict[str, Any]
    found: RunState


_claim: Claim | None = None
_folder: RunFolder | None = None  # of the run that this process was started for, once its description is read
_check: Callable[[], object] = bool  # raises UserError where that folder holds another run


def main(work: Callable[[Run], None], usage: str) -> None:
    """Load the run named on the command line and `work` on it. Exits 2 on a user's error, 1 on a broken run. Why is written
    into the folder before it is said: the log may be on the disk that is full."""
    arguments = [text for text in sys.argv[1:] if not text.startswith(("--local_rank", ONLY_STEP))]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        sys.exit(0 if arguments else USER_ERROR)
    with lasting():
        _work(work, Path(arguments[0]), arguments[1:])


def _work(work: Callable[[Run], None], path: Path, overrides: list[str]) -> None:
    quiet_libraries()
    gc.freeze()  # collections need not look through the libraries' 400,000 objects, which takes half a second
    gc.enable()
    first = distributed.rank() == 0
    try:
        run = load_run(path, overrides)
        started_for(run)
        distributed.check_devices()
        work(run)
    except UserError as error:
        if first or isinstance(error, OwnError):
            _answer_signals(signal.SIG_IGN)
            _mark_failed(f"{run_folder.USER_ERROR}{error}")
            say(f"xdist: {error}")
        else:
            _let_say(USER_ERROR)
        _leave(USER_ERROR)
    except RunError as error:
        if first or isinstance(error, RankError):
            _answer_signals(signal.SIG_IGN)
            _mark_failed(str(error))
            say(f"xdist: {error}")
        else:
            _let_say(1)
        _leave(1)
    except Exception as error:
        _answer_signals(signal.SIG_IGN)
        if end := heartbeat.reason_to_end() if isinstance(error, RuntimeError) else None:
            end_for(end)
        reason = lacking.reason(error)
        line = reason or f"rank {distributed.rank()}: {summary(error)}"
        _mark_failed(line)
        say(f"xdist: {line}" if reason else traceback.format_exc())
        _leave(1)
    distributed.shutdown()


def settle_device() -> None:
    """Say to DeepSpeed what this process computes on. Ends with a user's error where that is nothing xdist runs on."""
    try:
        distributed.default_accelerator()
    except UserError as error:
        if distributed.rank() == 0:
            say(f"xdist: {error}")
        else:
            _let_say(USER_ERROR)
        _leave(USER_ERROR)


def started_for(run: Run) -> None:
    """Whose folder it is that the ends of this process are written into."""
    global _folder, _check
    lacking.places.update({"the run folder": run.folder, "prepared rows": run.data.cache})
    _folder = RunFolder(run.folder)
    _check = partial(_folder.check, run)


def join(look: Callable[[], T]) -> T:
    """Join the process group, after rank 0 looked whether the folder holds another run, and took a `look` at all else that the
    start depends on. What `look` returned there, on every rank.

    All ranks raise what rank 0 met; rank 0 alone where the group cannot be joined, since another start in the folder may have
    the port that this start was given."""
    found: T | None = None
    wrong: Exception | None = None
    if distributed.rank() == 0:
        try:
            _check()
            found = look()
        except (UserError, RunError) as error:
            wrong = error
    aborting.leave_communicators()
    try:
        distributed.init()
    except Exception:
        if wrong:
            raise wrong from None
        raise
    return on_first(lambda: _check_found(found, wrong))


def claim(folder: RunFolder, what: str, look: Callable[[], T]) -> tuple[RunLock, T]:
    """Join the process group as `join` does, and take the folder for this start, on rank 0 for all, until `release` or the end
    of rank 0. Every rank raises BusyError where another start uses the folder, and what `join` raises."""
    global _claim
    lock = RunLock(folder.path)

    def look_at_lock() -> T:
        lock.check()
        return look()

    found = join(look_at_lock)
    _claim = on_first(lambda: _take_folder(lock, folder, what))
    aborting.on_abort(_end_if_told, _end_aborted)
    return lock, found


def _take_folder(lock: RunLock, folder: RunFolder, what: str) -> Claim:
    """On rank 0: take the folder, and remove what is no longer of use in it."""
    record = lock.take(what, partial(_end_without_folder, folder.path))
    folder.clear()
    stopping.drop_old(folder.stop, stopping.start_requested_at(folder.path / "job" / "job.json"))
    return Claim(record, folder.state)


def only_step() -> int | None:
    """The step that `--only-step=N` requests."""
    return next((int(text.removeprefix(ONLY_STEP)) for text in sys.argv[1:] if text.startswith(ONLY_STEP)), None)


def end_for(end: heartbeat.End) -> None:
    """End this rank because another one died or left, which is said unless the run's folder says already how it ended."""
    try:
        state = _folder.state if _folder else "new"
        over = state in MARKS and _claim is not None and state != _claim.found
        if end.dead and not over:
            _mark_failed(end.dead)
            say(f"xdist: {end.dead}; ending rank {distributed.rank()}")
    finally:  # also where the folder cannot be looked at
        _leave(end.code)


def _end_without_folder(path: Path) -> None:
    say(f"xdist: {path}: {stopping.LOST}")
    _leave(1)


def _end_if_told(seconds: float) -> None:
    if end := heartbeat.reason_to_end(seconds):
        end_for(end)


def _end_aborted(how: str) -> None:
    line = f"rank {distributed.rank()} was {how}"
    _mark_failed(line)
    say(f"xdist: {line}")
    heartbeat.tell(1)


def quiet_libraries() -> None:
    """Only errors from the libraries; xdist's own messages on rank 0, on a terminal that lacks a letter with another one."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    libraries.silence()
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("xdist").setLevel(logging.INFO if distributed.rank() == 0 else logging.WARNING)


def _mark_failed(reason: str) -> None:
    """Say in the folder, where it has room, why the run ended; only where a run has started and the folder is this start's."""
    if _folder is None or only_step() is not None:
        return
    with suppress(OSError):
        if _folder.state == "running" and _is_ours(_folder):
            _folder.mark("failed", reason)


def _is_ours(folder: RunFolder) -> bool:
    """Whether this start holds the folder; before it has tried to lock it, whether no other start does and it holds this very
    run."""
    lock = RunLock(folder.path)
    if _claim:
        return lock.record() == _claim.record
    with suppress(UserError):
        _check()
        return lock.free()
    return False


def _check_found(found: T | None, wrong: Exception | None) -> T:
    if wrong:
        raise wrong
    return cast(T, found)


def _answer_signals(how: Any) -> None:
    """Launchers send them as soon as one rank has left; one that has something to say does not mind them."""
    for number in SIGNALS:
        signal.signal(number, how)


def _let_say(code: int) -> None:
    """Stay until the launcher, or the watch, ends this rank, with the code of the one that says what is wrong: a launcher ends
    all as soon as one leaves, and that is to be the one that says it."""
    _answer_signals(lambda number, frame: os._exit(code))
    time.sleep(SAYING)


def _leave(code: int) -> None:
    """End at once: a rank that waits for its peers in an exit handler would hang where they have failed."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    heartbeat.tell(code)
    os._exit(code)
