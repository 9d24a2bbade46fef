"""metrics.jsonl, a line of JSON per logged step: the record of a run that status, report and a resumed start read."""

import errno
import json
import logging
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path

from xdist.files import write_text
from xdist.run.folder import RunFolder
from xdist.run.sinks.sink import Sink, Start

log = logging.getLogger(__name__)


class JsonLines(Sink):
    """What it cannot write, on a full disk, is lost with a warning for each line, and no line is torn."""

    name = "jsonl"

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._path = RunFolder(start.folder).metrics
        self._file: FileIO | None = None
        with suppress(OSError):  # where there is no room yet, the next line tries again
            self._opened()

    def _opened(self) -> FileIO:
        if self._file is None:
            if self._path.exists() and not self._path.is_file():
                raise OSError(errno.EINVAL, "is no file")
            if self._path.exists():
                last = math.inf if self.start.step is None else self.start.step
                lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
                kept = [line for line in lines if (step := _step(line)) is not None and step <= last]
                write_text(self._path, "".join(f"{line}\n" for line in kept))
            self._file = self._path.open("ab", buffering=0)
        return self._file

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        try:
            _append(self._opened(), (json.dumps({"step": step, **values}) + "\n").encode())
        except OSError as error:
            log.warning("step %d is missing from %s: %s", step, self._path, error.strerror or error)

    def close(self) -> None:
        if self._file:
            self._file.close()


def _append(file: FileIO, line: bytes) -> None:
    """Raises OSError where it does not fit; what did is taken back."""
    size = os.fstat(file.fileno()).st_size
    try:
        if file.write(line) != len(line):
            raise OSError("no room")
    except OSError:
        os.truncate(file.fileno(), size)
        raise


def last_step(metrics: Path) -> int:
    """The last step that a run logged; 0 before the first."""
    if not metrics.is_file():
        return 0
    size, block = metrics.stat().st_size, 8192
    with metrics.open("rb") as file:
        while True:
            file.seek(max(0, size - block))
            lines = file.read().split(b"\n")[:-1]  # what follows the last line feed was cut off
            if len(lines) > 1 or block >= size:
                break
            block *= 2  # a line of many languages is long
    return (_step(lines[-1]) or 0) if lines else 0


def _step(line: str | bytes) -> int | None:
    """None for what is no line of such a file."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
