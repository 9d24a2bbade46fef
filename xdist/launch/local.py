"""A run as processes on this machine."""

import os
import shlex
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from xdist.files import PACKAGE
from xdist.launch import ranks as processes
from xdist.launch.following import Shown, open_log
from xdist.run import devices, stopping
from xdist.run.folder import RunFolder
from xdist.run.lasting import PIPE, lasting
from xdist.run.living import group_alive
from xdist.run.lock import RunLock
from xdist.run.progress import say

FINISHED, BROKEN, USER_ERROR, UNFINISHED = 0, 1, 2, 75
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def command(kind: Literal["train", "evaluate"], path: Path, overrides: Sequence[str], ranks: int) -> list[str]:
    """What a user would type: `python xdist/launch/ranks.py N xdist/train.py RUN.yaml a.b=c`."""
    program = [str(PACKAGE / f"{kind}.py"), str(path), *overrides]
    return [sys.executable, str(PACKAGE / "launch" / "ranks.py"), str(ranks), *program]


def only_step(step: int, path: Path, overrides: Sequence[str], ranks: int) -> int:
    """Make one step of a run again, which writes nothing; returns the code of its ranks. Raises UserError for more ranks than
    GPUs."""
    devices.check(ranks)
    words = command("train", path, (*overrides, f"--only-step={step}"), ranks)
    return subprocess.run(words, env=environment(ranks), check=False).returncode


def environment(ranks: int) -> dict[str, str]:
    """The caller's environment, with the threads of this machine divided among the ranks and quiet launchers."""
    values = dict(os.environ)
    values.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // ranks)))
    values.setdefault("TOKENIZERS_PARALLELISM", "true")
    values.setdefault("DS_LOG_LEVEL", "warning")
    if devices.present_gpus() and not devices.visible_gpus():  # hidden; what other devices there are, the ranks ask torch
        values.setdefault("DS_ACCELERATOR", "cpu")
    return values


def start(
    kind: Literal["train", "evaluate"],
    ranks: int,
    folder: RunFolder,
    path: Path,
    overrides: Sequence[str],
    since: float | None = None,
) -> int:
    """Run to its end; returns 0 finished, 75 stopped and saved, 2 user error, 1 broken, read from the run's folder, since a
    launcher's own code does not distinguish them. `since`: when this start was requested, in seconds since 1970; None: now."""
    return supervise(command(kind, path, overrides, ranks), environment(ranks), folder, since)


def supervise(words: Sequence[str], variables: dict[str, str], folder: RunFolder, since: float | None = None) -> int:
    """Run a launcher to its end, which writes into the folder's log and is shown on stderr; returns a code as `start` does. A
    request to stop that is older than `since` is removed."""
    since = time.time() if since is None else since
    if not RunLock(folder.path).holder():  # else it is meant for who works there, and this start will be refused
        stopping.drop_old(folder.stop, since)
    variables = {**variables, stopping.STARTED: str(since)}
    short = processes.short_of_memory()
    reading, writing = os.pipe()
    with lasting(), open_log(folder.log, shown(words)) as log, Shown(log, reading):
        process = subprocess.Popen(
            words,
            env={**variables, PIPE: str(writing)},
            # A separate session: DeepSpeed's launcher answers signals by killing ranks in turn, a stop file lets all of them
            # save; and a terminal that goes away takes only its own session with it.
            start_new_session=True,
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT if log else None,
        )
        os.close(writing)
        with _stopping(folder, process) as asked:
            code = process.wait()
            ended = asked.ended or processes.ended_by(code, short)
            until = time.monotonic() + processes.GRACE
            while asked.ended and group_alive(process.pid) and time.monotonic() < until:  # they are being killed
                time.sleep(processes.POLL)
            if code < 0 and not asked.ended and group_alive(process.pid):
                say(f"xdist: the launcher was ended by {signal.Signals(-code).name}; its ranks continue, waiting for them")
                while group_alive(process.pid):
                    time.sleep(processes.POLL)
                code = 0  # what the ranks have to say is in the folder
    os.close(reading)
    if code == USER_ERROR:
        return USER_ERROR
    state = folder.state
    if code == 0 and state in ("finished", "unfinished"):
        return FINISHED if state == "finished" else UNFINISHED
    _explain(folder, ended)
    return BROKEN


class _Asked:
    """What signals have requested so far; `ended`: why the ranks were ended at once, "" where they were not."""

    stop = False
    ended = ""


@contextmanager
def _stopping(folder: RunFolder, process: subprocess.Popen[bytes]) -> Iterator[_Asked]:
    """While the block runs, the first signal asks the ranks to save and leave, the second kills them."""
    asked = _Asked()

    def ask(number: int, _frame: types.FrameType | None) -> None:
        name = signal.Signals(number).name
        if asked.stop or folder.state == "new":
            asked.ended = f"ended at once by a second {name}: the steps since the last save will be repeated"
            if not asked.stop:
                asked.ended = f"ended by {name} before its first step; nothing is lost"
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return
        asked.stop = True
        try:
            folder.stop.touch()
        except OSError:  # no room: the launcher passes the signal on
            process.send_signal(signal.SIGTERM)
        say("xdist: stopping: the ranks finish their step and save; once more to end at once")

    before = {number: signal.signal(number, ask) for number in STOP_SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _explain(folder: RunFolder, reason: str) -> None:
    """Leave in the folder why a start broke whose ranks could not, or say it where that cannot be."""
    if not reason or folder.state == "failed":
        return
    with suppress(OSError):
        if folder.state == "running" and RunLock(folder.path).free():
            folder.stop.unlink(missing_ok=True)
            folder.mark("failed", reason)
            return
    say(f"xdist: {reason}")


def shown(words: Sequence[str]) -> str:
    return shlex.join(words)
