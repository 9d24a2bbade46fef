"""Requests to end early: a signal or a file `stop`. A rank only takes note; all ranks decide together, once a step."""

import os
import signal
import types
from pathlib import Path

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopRequest:
    """Truthy from the first signal, or from when the file is there. A second signal ends the process at once."""

    def __init__(self, file: Path, watch_file: bool) -> None:
        self._file = file
        self._watch = watch_file
        self._signalled = False
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, _frame: types.FrameType | None) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True

    def __bool__(self) -> bool:
        return self._signalled or (self._watch and self._file.exists())

    def close(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
