"""Requests to end early: a signal, a file `stop`, a time limit. A rank notes it; all ranks decide together, once a step."""

import math
import os
import signal
import time
import types
from contextlib import suppress
from pathlib import Path

from xdist.errors import RunError
from xdist.run.progress import say

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
LOST = "was removed, renamed or taken by another start while this one was running"
STARTED = "XDIST_STARTED"  # when the launcher of these ranks was started, in seconds since 1970


def start_requested_at(submission: Path) -> float:
    """When this start was requested, in seconds since 1970: as its launcher says, else the time of the file that the last
    submission left, else when this process began."""
    with suppress(KeyError, ValueError):
        return float(os.environ[STARTED])
    with suppress(OSError):
        return submission.stat().st_mtime
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])  # since the machine was switched on
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def drop_old(file: Path, since: float) -> None:
    """Remove a request to stop that is older than what was requested at `since`, and say so."""
    with suppress(OSError):
        if file.stat().st_mtime < since:
            file.unlink()
            say(f"xdist: {file}: older than this start, removed")


class StopRequest:
    """Truthy from the first signal, while the file exists, or after `minutes`. A second signal ends the process at once."""

    def __init__(self, file: Path, watch_file: bool, minutes: float | None = None) -> None:
        self._file = file
        self._until = time.monotonic() + 60 * minutes if minutes is not None else math.inf
        self._watch = watch_file
        self._folder = _identity(file.parent)
        self._signalled = False
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, _frame: types.FrameType | None) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True

    def __bool__(self) -> bool:
        """Raises RunError where the folder of the file is gone, or another one has its name."""
        if self._watch and self._folder and _identity(self._file.parent) != self._folder:
            raise RunError(f"{self._file.parent}: {LOST}")
        return self._signalled or (self._watch and self._file.exists()) or time.monotonic() >= self._until

    def close(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _identity(folder: Path) -> tuple[int, int] | None:
    """What stays of a folder when it gets another name; None where it is missing."""
    try:
        there = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return there.st_ino, there.st_dev
