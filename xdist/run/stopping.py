"""Requests to end early: a signal, a file `stop`, a time limit. A rank notes it; all ranks decide together, once a step."""

import math
import os
import signal
import time
import types
from pathlib import Path

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopRequest:
    """Truthy from the first signal, while the file is there, or after `minutes`. A second signal ends the process at once."""

    def __init__(self, file: Path, watch_file: bool, minutes: float | None = None) -> None:
        self._file = file
        self._until = time.monotonic() + 60 * minutes if minutes is not None else math.inf
        self._watch = watch_file
        self._signalled = False
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, _frame: types.FrameType | None) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True

    def __bool__(self) -> bool:
        return self._signalled or (self._watch and self._file.exists()) or time.monotonic() >= self._until

    def close(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
