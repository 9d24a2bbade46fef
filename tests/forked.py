"""The first process of tests/loaded.py, which has the libraries, and those that are forked from it, each of which becomes what
a start of its program would be."""

import atexit
import ctypes
import gc
import inspect
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {str(ROOT / "xdist" / name) for name in ("launch/ranks.py", "train.py", "evaluate.py")}
COMMANDS = {str(Path(sys.executable).with_name(name)) for name in ("xdist", "deepspeed")}
LAUNCH = "deepspeed.launcher.launch"  # which the command starts, and which starts ranks
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
PLAIN = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
MESSAGE = 1 << 17  # bytes


def program_of(words: Sequence[str], folder: Path) -> list[str]:
    """The script, or lines of Python, and the words of a command of xdist's own typed in `folder`; of others nothing."""
    if words[0] in COMMANDS:
        return list(words)
    program = list(words[2:] if words[1:2] == ["-u"] else words[1:])
    if words[0] != sys.executable or not program:
        return []
    if program[:2] == ["-m", LAUNCH]:
        return [f"from runpy import run_module\nrun_module({LAUNCH!r}, run_name='__main__')", *program[2:]]
    program[0] = os.path.realpath(folder / program[0])
    return program if program[0] in SCRIPTS else []


class Forking(subprocess.Popen):
    """Forks for what is xdist's own where it would start a Python for it."""

    def _execute_child(self, *given: Any) -> None:
        asked = PLAIN.bind(self, *given).arguments
        words = [asked["args"]] if isinstance(asked["args"], str) else [os.fspath(word) for word in asked["args"]]
        program = program_of(words, Path(asked["cwd"] or Path.cwd()))
        if not program or asked["preexec_fn"] or "LD_PRELOAD" in (asked["env"] or os.environ):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            self._child_created = True
            self._close_pipe_fds(*(asked[name] for name in PIPES))  # type: ignore[attr-defined]
            return
        kept = taken_out("xdist")  # what this process has done with it is not to be known to the other
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


def shown_as(words: Sequence[str]) -> None:
    """/proc shows of this process these words and its present variables, as far as there is room: it reads them where the first
    process got its own, which nothing else reads any more."""
    places = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[45:49]
    variables = [f"{name}={value}" for name, value in os.environ.items()]
    for texts, start, stop in ((words, *places[:2]), (variables, *places[2:])):
        room = int(stop) - int(start)
        ctypes.memmove(int(start), b"".join(os.fsencode(text) + b"\0" for text in texts)[: room - 1].ljust(room, b"\0"), room)


def written_to(number: int, errors: str) -> io.TextIOWrapper:
    """That of the first process knows whether its own file could be sought in, which a pipe cannot."""
    return io.TextIOWrapper(io.FileIO(number, "w", closefd=False), sys.__stdout__.encoding, errors, write_through=True)


def as_started(words: Sequence[str], variables: Mapping[str, str] | None, folder: str | None) -> None:
    if variables is not None:
        os.environ.clear()
        os.environ.update(variables)
    os.chdir(folder or ".")
    shown_as([sys.executable, *words])
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    own = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    others = [entry for entry in sys.path[1:] if entry not in own and entry != str(ROOT / "tests")]
    text = "\n" in words[0]
    sys.argv = ["-c" if text else words[0], *words[1:]]
    sys.path[:] = ["" if text else str(Path(words[0]).parent), *own, *others]
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), sys.__stdin__.encoding)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = written_to(1, "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = written_to(2, "backslashreplace")  # type: ignore[misc]


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


def main(number: int, *needs: str) -> None:
    os.dup2(2, 1)  # what libraries say while they are imported
    for name in needs:
        import_module(name)
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
    main(int(sys.argv[1]), *sys.argv[2:-1])
