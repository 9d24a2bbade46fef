"""Processes that do not load torch and the other libraries again: each is forked from one that has them. Most of what a command
costs is that, and of a run it is so on every rank.

Such a process has the folder, the variables, the files, the signals and the exit code of a started one. What it starts of
xdist's own scripts (the launcher, which starts the ranks) is forked in its turn, by the parent that would have started it, in
the session and with the files that were requested. What tests know by a process's command line, or by what libraries say and
read while they are imported, needs a start.
"""

import atexit
import gc
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {str(ROOT / "xdist" / name) for name in ("launch/ranks.py", "train.py", "evaluate.py")}
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
PLAIN = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
# Variables that libraries read while they are imported, and tests set.
READ_BY_LIBRARIES = ("CUDA_VISIBLE_DEVICES", "DS_ACCELERATOR", "HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE", "HF_TOKEN")
MESSAGE = 1 << 17  # bytes
LOADING = 300.0  # seconds
POLL = 0.002, 0.05  # seconds, the least and the most


class Loaded:
    """A process that has imported the modules `needs`, and of `without` nothing any more, which its children import again."""

    def __init__(self, needs: Sequence[str], without: str = "") -> None:
        self.variables = {**os.environ, "DS_ACCELERATOR": "cpu"}
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, "-u", __file__, str(other.fileno()), without, *needs],
            # One thread: others do not survive a fork.
            env={**self.variables, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
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
        while (code := self._asked({"ended": pid})) is None:
            if time.monotonic() > began + seconds:
                raise subprocess.TimeoutExpired(str(pid), seconds)
            time.sleep(waits)
            waits = min(2 * waits, POLL[1])
        return int(code)

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


class Forking(subprocess.Popen):
    """Forks for xdist's own scripts where it would start a Python for them."""

    def _execute_child(self, *given: Any) -> None:
        asked = PLAIN.bind(self, *given).arguments
        words = [asked["args"]] if isinstance(asked["args"], str) else [os.fspath(word) for word in asked["args"]]
        program = words[2:] if words[1:2] == ["-u"] else words[1:]
        if words[0] != sys.executable or not program or program[0] not in SCRIPTS:
            super()._execute_child(*given)  # type: ignore[misc]
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            self._child_created = True
            self._close_pipe_fds(*(asked[name] for name in PIPES))  # type: ignore[attr-defined]
            return
        kept = taken_out("xdist")
        try:
            if asked["start_new_session"]:
                os.setsid()
            files = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
            given_to([number if file == -1 else file for number, file in enumerate(files)], asked["pass_fds"])
            forgotten()
            as_started(program, asked["env"], asked["cwd"])
            end(program[0])
        finally:
            del kept  # not before: what is in them would close files that have other owners here
            os._exit(1)


BASE: set[int] = set()  # the files that libraries hold open


def given_to(files: Sequence[int], passed: Sequence[int] = ()) -> None:
    """This process has `files` as stdin, stdout and stderr, and next to them no other one of its parent's."""
    for number, file in enumerate([os.dup(file) for file in files]):
        os.dup2(file, number)
    for number in {int(name) for name in os.listdir("/proc/self/fd")} - BASE - {0, 1, 2, *passed}:
        try:
            os.close(number)
        except OSError:
            continue  # that of the folder itself


def taken_out(beginning: str) -> list[Any]:
    """The modules of a package, to be imported again; and of plugins, whose names xdist makes from its own."""
    return [sys.modules.pop(name) for name in list(sys.modules) if name.startswith(beginning)]


def forgotten() -> None:
    """What the parent would have done at its own end."""
    atexit._clear()
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]


def as_started(words: Sequence[str], variables: Mapping[str, str] | None, folder: str | None) -> None:
    if variables is not None:
        os.environ.clear()
        os.environ.update(variables)
    os.chdir(folder or ".")
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    own = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    others = [entry for entry in sys.path[1:] if entry not in own and entry != str(ROOT / "tests")]
    text = "\n" in words[0]
    sys.argv = ["-c" if text else words[0], *words[1:]]
    sys.path[:] = ["" if text else str(Path(words[0]).parent), *own, *others]
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__


def end(program: str) -> NoReturn:
    """Do a script, or Python's text, and end with the code and the words of a Python that has nothing else to do."""
    code: object = 0
    try:
        if "\n" in program:
            exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_path(program, run_name="__main__")
    except SystemExit as left:
        code = left.code
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((code or 0) & 0xFF)  # type: ignore[operator]


def child(request: Mapping[str, Any], files: Sequence[int]) -> NoReturn:
    try:
        given_to(files or (0, 2, 2))
        as_started(request["program"], request["variables"], request["cwd"])
        subprocess.Popen = Forking  # type: ignore[misc]
        end(request["program"][0])
    finally:
        os._exit(1)


def main(number: int, without: str, *needs: str) -> None:
    os.dup2(2, 1)  # what libraries say while they are imported
    for name in needs:
        import_module(name)
    if without:
        taken_out(without)
    gc.collect()
    gc.freeze()
    BASE.update({int(name) for name in os.listdir("/proc/self/fd")} - {number})
    asked = socket.socket(fileno=number)
    while True:
        message, files, _, _ = socket.recv_fds(asked, MESSAGE, 3)
        if not message:
            return
        request = json.loads(message)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if not answer:
                child(request, files)
        for file in files:
            os.close(file)
        asked.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
