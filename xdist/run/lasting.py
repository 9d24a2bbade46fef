"""Output that ends nothing: of a run outlive its terminal, its pipe and the room on the disk of its log.

The ranks of a local run write into `xdist.log` of its folder. In addition they may have a pipe to the launcher, which shows
what the log had no room for, and on a terminal how far they are; it is never waited for.
"""

import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from xdist.errors import NO_ROOM

PIPE = "XDIST_PIPE"  # the number of the pipe's end that ranks write to
LONGEST = 4000  # bytes of one message: as long ones may be torn by those of other ranks


class Lasting:
    """The text stream, but who writes never hears that it could not be written. Where it never can be again, what comes is
    dropped for good, since data that a stream still holds would otherwise change the exit code of the process."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Letters that the stream lacks are written with others."""
        if encoding := getattr(self._stream, "encoding", None):
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        if not self._kept(lambda: self._stream.write(text)):
            inform_launcher(text=text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._kept(self._stream.flush)

    def end(self) -> None:
        """The last that is written to it."""
        if not self._kept(self._stream.flush):
            self._drop()

    def _kept(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except (OSError, ValueError) as error:  # ValueError: it is closed
            if isinstance(error, OSError) and error.errno not in NO_ROOM:
                self._drop()
            return False
        return True

    def _drop(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def lasting() -> Iterator[None]:
    """While the block runs, neither what it prints nor a terminal that goes away (SIGHUP) can end it. Processes that it starts
    do not mind SIGHUP either."""
    before = sys.stdout, sys.stderr
    ours = sys.stdout, sys.stderr = Lasting(sys.stdout), Lasting(sys.stderr)
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN) if main else None
    try:
        yield
    finally:
        for stream in ours:
            stream.end()
        sys.stdout, sys.stderr = before
        if main:
            signal.signal(signal.SIGHUP, handler)


def inform_launcher(**message: object) -> None:
    """Inform the launcher, where it listens and has room, without waiting."""
    pipe = _pipe()
    if pipe is not None:
        if len(data := json.dumps(message).encode() + b"\n") > LONGEST:
            data = json.dumps({key: str(value)[: LONGEST // 8] for key, value in message.items()}).encode() + b"\n"
        with suppress(OSError):  # full, or the launcher is gone
            os.write(pipe, data)


@cache
def _pipe() -> int | None:
    """None where the number is of something else: other launchers hand on the variable and not the pipe."""
    with suppress(ValueError, OSError):
        pipe = int(os.environ.get(PIPE, ""))
        if stat.S_ISFIFO(os.fstat(pipe).st_mode):
            os.set_blocking(pipe, False)
            return pipe
    return None
