"""A run as processes on this machine."""

import os
import shlex
import signal
import subprocess
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from xdist.files import PACKAGE
from xdist.run import devices
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock

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
    if not devices.visible():
        values.setdefault("DS_ACCELERATOR", "cpu")
    return values


def start(kind: Literal["train", "evaluate"], ranks: int, folder: RunFolder, path: Path, overrides: Sequence[str]) -> int:
    """Run to its end; returns 0 finished, 75 stopped and saved, 2 user error, 1 broken, read from the run's folder, since a
    launcher's own code does not tell them apart."""
    return supervise(command(kind, path, overrides, ranks), environment(ranks), folder)


def supervise(words: Sequence[str], variables: dict[str, str], folder: RunFolder) -> int:
    """Run a launcher to its end; returns a code as `start` does."""
    if not RunLock(folder.path).holder():  # else it is meant for who works there, and this start will be refused
        folder.stop.unlink(missing_ok=True)
    # A session of its own: DeepSpeed's launcher answers signals by killing ranks in turn, a stop file lets all of them save.
    process = subprocess.Popen(words, env=variables, start_new_session=True)
    with _stopping(folder, process):
        code = process.wait()
    if code == USER_ERROR:
        return USER_ERROR
    state = folder.state
    if code == 0 and state in ("finished", "unfinished"):
        return FINISHED if state == "finished" else UNFINISHED
    return BROKEN


@contextmanager
def _stopping(folder: RunFolder, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """While the block runs, the first signal asks the ranks to save and leave, the second kills them."""

    asked = False

    def ask(_number: int, _frame: types.FrameType | None) -> None:
        nonlocal asked
        if asked or folder.state == "new":  # the ranks do not work yet
            os.killpg(process.pid, signal.SIGKILL)
        else:
            asked = True
            folder.stop.touch()
            print("xdist: stopping: the ranks finish their step and save; once more to end at once", file=sys.stderr)

    before = {number: signal.signal(number, ask) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def shown(words: Sequence[str]) -> str:
    return shlex.join(words)
