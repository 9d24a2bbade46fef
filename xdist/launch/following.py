"""Showing what ranks say while they work: they write into a log file, which outlives this process and its terminal; here it is
read as it grows. A terminal that is slow, stopped or closed delays only this thread."""

import codecs
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from xdist.run.progress import Progress

LOOK = 0.1  # seconds
PATIENCE = 5.0  # seconds that the last lines may take to be shown


@contextmanager
def open_log(path: Path, command: str) -> Iterator[IO[bytes] | None]:
    """The log of a run, to be written on, with a line that says which start it is; None where there is no place for one."""
    file = None
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)
        file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {command}\n".encode())
    try:
        yield file
    finally:
        if file:
            file.close()


class Shown:
    """Shows on stderr what comes to the file `log`, and the messages that come through `pipe`."""

    def __init__(self, log: IO[bytes] | None, pipe: int) -> None:
        # By its number: the file may be moved or removed meanwhile.
        self._log = os.open(f"/proc/self/fd/{log.fileno()}", os.O_RDONLY) if log else None
        if self._log is not None:
            os.lseek(self._log, 0, os.SEEK_END)
        self._pipe, self._held = pipe, b""
        os.set_blocking(pipe, False)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._bar: Progress | None = None
        self._line = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="shown log", daemon=True)

    def __enter__(self) -> "Shown":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)

    def _follow(self) -> None:
        while True:
            last = self._over.is_set()  # read first: what is written before is still read
            self._hear()
            self._read()
            if last:
                self._end_bar()
                self._show(self._line)
                if self._log is not None:
                    os.close(self._log)
                return
            self._over.wait(LOOK)

    def _read(self) -> None:
        while self._log is not None and (data := os.read(self._log, 1 << 16)):
            *lines, self._line = (self._line + self._decode(data)).split("\n")
            for line in lines:
                if not (self._bar and line.startswith(f"{self._bar.title}: ")):  # the bar says it
                    self._show(f"{line}\n")

    def _hear(self) -> None:
        with suppress(OSError):  # the file is empty
            while data := os.read(self._pipe, 1 << 16):
                *lines, self._held = (self._held + data).split(b"\n")
                for line in lines:
                    with suppress(ValueError, KeyError, TypeError):
                        self._take(json.loads(line))

    def _take(self, message: Mapping[str, Any]) -> None:
        if "text" in message:
            self._show(message["text"])
        elif "over" in message:
            self._end_bar()
        elif sys.stderr.isatty():
            if self._bar is None or self._bar.title != message["progress"]:
                self._end_bar()
                what = (message["progress"], message["total"], message["done"])
                self._bar = Progress(*what, in_bytes=message["in_bytes"])
            self._bar.note(message["note"])
            self._bar.advance(message["done"] - self._bar.done)

    def _end_bar(self) -> None:
        if self._bar:
            self._bar.close()
        self._bar = None

    @staticmethod
    def _show(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
