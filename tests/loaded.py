"""Processes that do not load torch and the other libraries again: each is forked from one that has them. Most of what a command
costs is that, and of a run it is so on every rank.

Such a process has the folder, the variables, the files, the signals and the exit code of a started one, and /proc shows them as
of one. What it starts of xdist's own (commands, the launchers, which start the ranks) is forked in its turn, by the parent that
would have started it, in the session and with the files that were requested. What libraries say and read while they are
imported, and what is loaded before them, needs a start.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from forked import MESSAGE, ROOT

FORKED = Path(__file__).with_name("forked.py")
# Variables that libraries read while they are imported, and tests set.
READ_BY_LIBRARIES = ("CUDA_VISIBLE_DEVICES", "DS_ACCELERATOR", "HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE", "HF_TOKEN")
ROOM = 4096  # bytes, for what /proc shows of a process that is forked, in addition to what it would show of the first
LOADING = 300.0  # seconds
POLL = 0.002, 0.05  # seconds, the least and the most


class Loaded:
    """A process that has imported the modules `needs`."""

    def __init__(self, needs: Sequence[str]) -> None:
        self.variables = {**os.environ, "DS_ACCELERATOR": "cpu"}
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, "-u", str(FORKED), str(other.fileno()), *needs, ROOM * " "],
            # One thread: others do not survive a fork.
            env={
                **self.variables,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
                "ROOM": ROOM * " ",
            },
            pass_fds=(other.fileno(),),
            stdin=subprocess.DEVNULL,
        )
        other.close()
        self.socket.settimeout(LOADING)

    def start(
        self, program: Sequence[str], variables: Mapping[str, str], cwd: Path | None = None, files: Sequence[int] = ()
    ) -> int:
        """The number of a process that does `program`: a script, or lines of Python, and its words. `files`: what it has for
        stdin, stdout and stderr, else nothing, stderr and stderr."""
        for name in READ_BY_LIBRARIES:
            same = variables.get(name) == self.variables.get(name)
            assert same, f"{name} is read while libraries are imported: such a process has to be started"
        return self._asked({"program": program, "variables": dict(variables), "cwd": str(cwd or Path.cwd())}, files)

    def wait(self, pid: int, seconds: float) -> int:
        """Its exit code, -N where signal N ended it."""
        began, waits = time.monotonic(), POLL[0]
        while (code := self.ended(pid)) is None:
            if time.monotonic() > began + seconds:
                raise subprocess.TimeoutExpired(str(pid), seconds)
            time.sleep(waits)
            waits = min(2 * waits, POLL[1])
        return code

    def ended(self, pid: int) -> int | None:
        """Its exit code, once, where it has ended."""
        code: int | None = self._asked({"ended": pid})
        return code

    def _asked(self, request: Mapping[str, Any], files: Sequence[int] = ()) -> Any:
        socket.send_fds(self.socket, [json.dumps(request).encode()], files)
        return json.loads(self.socket.recv(MESSAGE))

    def close(self) -> None:
        self.socket.close()
        self.process.wait(timeout=60)


class Process:
    """One of them with pipes, as a `subprocess.Popen` has them, for text."""

    def __init__(self, loaded: Loaded, program: str, *words: str, variables: Mapping[str, str], stderr: bool = False) -> None:
        ours, theirs = [], []
        for number in range(3 if stderr else 2):
            ends = os.pipe()
            ours.append(ends[number == 0])
            theirs.append(ends[number != 0])
        self._loaded, self._code = loaded, None
        self.pid = loaded.start([program, *words], variables, files=theirs)
        for end in theirs:
            os.close(end)
        opened = [os.fdopen(end, "w" if number == 0 else "r", encoding="utf-8") for number, end in enumerate(ours)]
        self.stdin: IO[str] = opened[0]
        self.stdout: IO[str] = opened[1]
        self.stderr: IO[str] | None = opened[2] if stderr else None

    def poll(self) -> int | None:
        self._code = self._loaded.ended(self.pid) if self._code is None else self._code
        return self._code

    def wait(self, timeout: float = 60) -> int:
        self._code = self._loaded.wait(self.pid, timeout) if self._code is None else self._code
        return self._code

    def send_signal(self, number: int) -> None:
        if self._code is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        self.kill()
        for stream in filter(None, (self.stdin, self.stdout, self.stderr)):
            try:
                stream.close()
            except BrokenPipeError:
                continue  # what was said to it last
