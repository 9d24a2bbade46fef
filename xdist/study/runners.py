"""Who does the runs of a study on this machine: this process, one after another, or several commands at a time."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click

from xdist.errors import UserError
from xdist.files import write_yaml
from xdist.launch import local, ranks
from xdist.launch.prepared import launch
from xdist.resolve.resolved import resolve
from xdist.run import devices
from xdist.run.folder import RunFolder
from xdist.run.progress import say
from xdist.study.expansion import Graph, Node
from xdist.study.facts import Facts
from xdist.study.state import make_scorable

SCRIPTS = ("xdist/train.py", "xdist/evaluate.py")
THREADS = "OMP_NUM_THREADS"
WORDLESS = "its ranks ended without a word in its folder; see what they printed"


class Runner(Protocol):
    @property
    def room(self) -> bool:
        """Whether it takes another run now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a run was started that `next_ended` has not given."""
        ...

    def stopping(self) -> bool:
        """Whether a signal has asked to stop."""
        ...

    def begin(self, node: Node) -> None: ...

    def next_ended(self) -> tuple[str, str]:
        """Of the runs that were started, the key of one that has ended and was not given before, and why it failed, where
        its folder does not say so."""
        ...


@contextmanager
def runner(graph: Graph, facts: Facts, at_once: int) -> Iterator[Runner]:
    """One that does `at_once` runs at a time. Signals to stop are its own while the block runs."""
    if at_once == 1:
        with _listening() as asked:
            yield _Alone(graph, facts, asked)
    else:
        together = _Together(graph, facts, gpu_shares(at_once))
        with _handling(together.stop):
            yield together


def check_at_once(graph: Graph, at_once: int) -> None:
    """Raises UserError where `at_once` runs of the study cannot work at a time: a GPU holds one rank, and each run gets
    an equal share of the visible ones."""
    share, visible = gpu_shares(at_once)[0], len(devices.visible_gpus())
    for node in graph.nodes.values():
        run = node.run
        most = visible // run.runtime.ranks  # 0: not even one can be started, which `devices.check` says
        if 0 < most < at_once and RunFolder(run.folder).state != "finished":
            raise UserError(
                f"--at-once {at_once}: leaves each run {len(share)} of {visible} visible GPUs, and {run.name} has "
                f"{run.runtime.ranks} ranks (valid: {f'1 to {most}' if most > 1 else 1}, or fewer runtime.ranks)"
            )


def gpu_shares(at_once: int) -> list[list[str]]:
    """The GPUs that each of `at_once` runs may see; empty lists where ranks compute on CPUs. Raises UserError for fewer GPUs
    than runs."""
    gpus = devices.visible_gpus()
    if at_once > 1 and not gpus and _other_gpus():
        raise UserError(
            f"--at-once {at_once}: divides GPUs of NVIDIA's or a CPU's cores, and torch finds other GPUs here (valid: 1)"
        )
    each = len(gpus) // at_once
    if gpus and not each:
        are = "1 GPU is" if len(gpus) == 1 else f"{len(gpus)} GPUs are"
        raise UserError(
            f"--at-once {at_once}: {are} visible, and each run needs one (valid: 1{f' to {len(gpus)}' * (len(gpus) > 1)})"
        )
    return [gpus[number * each : (number + 1) * each] for number in range(at_once)]


def _other_gpus() -> bool:
    """Whether there are GPUs whose files `devices` does not know, as AMD's."""
    if devices.present_gpus() or os.environ.get(devices.ACCELERATOR) == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


class _Alone:
    """One run at a time in this process, which has the terminal."""

    def __init__(self, graph: Graph, facts: Facts, stopping: Callable[[], bool]) -> None:
        self._graph, self._facts, self._asked = graph, facts, stopping
        self._ended: list[tuple[str, str]] = []
        self._stopping = False

    @property
    def room(self) -> bool:
        return not self._ended

    @property
    def busy(self) -> bool:
        return bool(self._ended)

    def stopping(self) -> bool:
        self._stopping = self._asked() or self._stopping
        return self._stopping

    def begin(self, node: Node) -> None:
        self._ended.append((node.key, self._do(node)))

    def next_ended(self) -> tuple[str, str]:
        return self._ended.pop()

    def _do(self, node: Node) -> str:
        run = node.run
        path = _describe(self._graph, node)
        try:
            _wait_for_ranks(path)
            if run.evaluate:
                make_scorable(node, self._facts)
            code = launch(node.work, resolve(run, node.work), path, ())
        except UserError as error:
            click.echo(f"xdist: {run.name}: {error}", err=True)
            return str(error)
        return WORDLESS if code in (local.BROKEN, local.USER_ERROR) and RunFolder(run.folder).state != "failed" else ""


class _Together:
    """Each run is a command `xdist train` or `xdist evaluate`, with its share of the GPUs or cores; what it prints on stderr is
    shown with its name."""

    def __init__(self, graph: Graph, facts: Facts, shares: Sequence[Sequence[str]]) -> None:
        self._graph, self._facts, self._at_once = graph, facts, len(shares)
        self._free = list(shares)
        self._pool = ThreadPoolExecutor(len(shares))
        self._working: dict[Future[str], tuple[str, Sequence[str]]] = {}
        self._starting = threading.Lock()  # a command is either seen by `stop` or not started after it
        self._commands: set[subprocess.Popen[str]] = set()
        self._stopping = False

    @property
    def room(self) -> bool:
        return bool(self._free)

    @property
    def busy(self) -> bool:
        return bool(self._working)

    def stopping(self) -> bool:
        return self._stopping

    def stop(self, number: int, _frame: types.FrameType | None) -> None:
        """Ask all commands to save and leave, as a signal to each would; the second time ends them."""
        self._stopping = True
        with self._starting:
            for command in self._commands:
                if command.poll() is None:
                    command.send_signal(signal.SIGTERM)
        say("xdist: stopping: the runs finish their steps and save; once more to end at once")

    def begin(self, node: Node) -> None:
        path = _describe(self._graph, node)
        if node.run.evaluate:
            make_scorable(node, self._facts)
        share = self._free.pop(0)
        self._working[self._pool.submit(self._do, node, path, share)] = node.key, share

    def next_ended(self) -> tuple[str, str]:
        ended = wait(self._working, return_when=FIRST_COMPLETED).done.pop()
        key, share = self._working.pop(ended)
        self._free.append(share)
        return key, ended.result()

    def _do(self, node: Node, path: Path, share: Sequence[str]) -> str:
        _wait_for_ranks(path, self.stopping)
        name, short = node.run.name, ranks.short_of_memory()
        with self._starting:
            if self._stopping:
                return ""
            command = subprocess.Popen(
                [sys.executable, "-m", "xdist.cli", node.work, str(path)],
                env=self._environment(node.run.runtime.ranks, share),
                start_new_session=True,  # what a terminal sends reaches this process alone, which passes it on once
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
            self._commands.add(command)
        assert command.stderr
        error = ""
        for line in command.stderr:
            if found := re.fullmatch(rf"xdist: (?:{re.escape(name)}: )?(.+)\n", line):
                error = found[1]
            say(line if name in line else f"{name}: {line}")
        code = command.wait()
        with self._starting:
            self._commands.remove(command)
        if code == local.USER_ERROR and error:
            return error
        if code in (local.FINISHED, local.UNFINISHED) or RunFolder(node.run.folder).state == "failed":
            return ""
        return ranks.ended_by(code, short) or error or WORDLESS

    def _environment(self, ranks_of_run: int, share: Sequence[str]) -> dict[str, str]:
        cores = len(os.sched_getaffinity(0)) // self._at_once // ranks_of_run
        variables = {THREADS: str(max(1, cores)), **os.environ}
        return {**variables, devices.VARIABLE: ",".join(share)} if share else variables


def _describe(graph: Graph, node: Node) -> Path:
    """The YAML that its ranks read, written into the study's folder."""
    path = graph.yaml_of(node)
    write_yaml(path, node.run.dump())
    return path


@contextmanager
def _handling(handler: Callable[[int, types.FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in local.STOP_SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def _listening() -> Iterator[Callable[[], bool]]:
    """A function that says whether a signal asked to stop. Between runs such a signal interrupts at once; while ranks work,
    `launch` has its own handlers that let them save; here it is only noted."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with _handling(signal.default_int_handler):
        listener = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

        def asked() -> bool:
            try:
                return bool(os.read(reading, 64))
            except BlockingIOError:
                return False

        try:
            yield asked
        finally:
            signal.set_wakeup_fd(listener)
            os.close(reading)
            os.close(writing)


def _wait_for_ranks(path: Path, given_up: Callable[[], bool] = bool) -> None:
    """Ranks outlive a launcher that is killed; two sets of them must not write one folder."""
    said = False
    while _at_work(path) and not given_up():
        if not said:
            say(f"xdist: ranks of an earlier start still work on {path.stem}; waiting for them")
        said = True
        time.sleep(1)


def _at_work(path: Path) -> bool:
    """Whether one of xdist's scripts has this description on its command line, as seen from where it was started."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            named = str(path) in words and any(word.endswith(SCRIPTS) for word in words)
            if named and Path(os.readlink(process / "cwd"), path).resolve() == path.resolve():
                return True
        except OSError:
            continue
    return False
