"""Running a study on this machine: run after run, each after the one whose model it begins with."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import click

from xdist.data.look import find_without_gold
from xdist.errors import UserError
from xdist.files import write_yaml
from xdist.launch import local
from xdist.launch.prepared import launch
from xdist.resolve.leaving import is_left, leave
from xdist.resolve.resolved import resolve
from xdist.run import devices
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock
from xdist.study.expansion import Graph, Node
from xdist.study.facts import Facts
from xdist.study.leaks import check_stages
from xdist.study.learnt import check_learns
from xdist.study.published import check_targets
from xdist.study.state import Standing, failure, make_scorable, note_failure, standing

STOPPED = local.UNFINISHED
SCRIPTS = ("xdist/train.py", "xdist/evaluate.py")


def run_study(graph: Graph, facts: Facts) -> int:
    """Do every run that is not done; 0: all are finished, 75: stopped and saved, 1: some failed.

    A failed run stops only the runs that need it. Started again, finished runs are left as they are, stopped ones
    resume and failed ones are tried again. Raises UserError where every first run lacks files, and where one that is left to do
    has more ranks than this machine has GPUs, and as `check_stages`.
    """
    check_learns(graph)
    found: dict[str, Standing] = {}
    for node in graph.nodes.values():
        if RunFolder(node.run.folder).state != "finished":
            devices.check(node.run.runtime.ranks)
            node.resolved.check_sinks()
    _check_data(graph, facts)
    check_stages(graph)
    with only_runner(graph.study.folder), _listening() as asked_to_stop:
        try:
            for number, (key, node) in enumerate(graph.nodes.items(), start=1):
                failure(graph, node).unlink(missing_ok=True)
                found[key] = standing(node, graph, found, facts)
                if found[key].state == "finished":
                    _leave(node)
                if found[key].state in ("finished", "blocked"):
                    continue
                click.echo(f"[{number}/{len(graph.nodes)}] {node.run.name}: {node.run.folder}", err=True)
                reason = _do(graph, node, facts)
                if asked_to_stop():
                    return STOPPED
                if reason:
                    note_failure(graph, node, reason)
                found[key] = standing(node, graph, found, facts)
                if found[key].state == "stopped":  # by someone who put a stop file into its folder
                    return STOPPED
        except KeyboardInterrupt:
            return STOPPED
    return local.FINISHED if all(standing.state == "finished" for standing in found.values()) else local.BROKEN


def check_study(graph: Graph) -> None:
    """Raises UserError, beginning with its name, for the first run that is not done and whose start would be refused, and for
    what runs are asked to learn and cannot be asked."""
    check_learns(graph)
    check_targets(graph)
    check_stages(graph)
    for node in graph.nodes.values():
        run, folder = node.run, node.resolved.folder
        if folder.state == "finished":
            continue
        work: Literal["train", "evaluate"] = "train" if run.train else "evaluate"
        try:
            devices.check(run.runtime.ranks)
            resolved = resolve(run, work, to_come=graph.to_come(node), begins_with=graph.beginning(node))
            subsets = resolved.subsets
            read = (*(subsets.trained if run.train else ()), *subsets.aligned)
            find_without_gold(run.data.root, read, subsets.evaluation, resolved.parallel_before)
        except UserError as error:
            raise UserError(f"{run.name}: {error}") from None


def _check_data(graph: Graph, facts: Facts) -> None:
    """Raises UserError where every run would fail, for want of files or of a run that has them, one after another."""
    missing = [facts.missing(node.resolved.trained_files) for node in graph.after(None)]
    if all(missing):
        none = f"none of the {len(graph.nodes):,} runs can begin"
        raise UserError(f"{graph.study.path}: {none}: files to train on are missing, such as {missing[0][0]}")


def _do(graph: Graph, node: Node, facts: Facts) -> str:
    """One run to its end; why it failed, where its own folder does not say so."""
    run, folder = node.run, RunFolder(node.run.folder)
    path = graph.study.folder / "descriptions" / f"{run.folder.name}.yaml"
    write_yaml(path, run.dump())
    try:
        _wait_for_ranks(path)
        if run.evaluate:
            make_scorable(node, facts)
        work: Literal["train", "evaluate"] = "train" if run.train else "evaluate"
        code = launch(work, resolve(run, work), path, ())
    except UserError as error:
        click.echo(f"xdist: {run.name}: {error}", err=True)
        return str(error)
    if code in (local.BROKEN, local.USER_ERROR) and folder.state != "failed":
        return "its ranks ended without a word in its folder; see what they printed"
    return ""


def _leave(node: Node) -> None:
    """Of a run that was finished before this study was started, remove what is not to stay; not while another process uses
    it."""
    run, folder, keep = node.run, node.resolved.folder, node.run.runtime.keep_finished
    if is_left(folder, keep):
        return
    lock = RunLock(folder.path)
    with suppress(UserError):
        lock.take("xdist study run")
        try:
            leave(folder, keep, run.name, node.resolved.subsets.evaluation if run.evaluate else ())
        finally:
            lock.release()


@contextmanager
def only_runner(folder: Path) -> Iterator[None]:
    """Raises UserError while another `study run` or `submit` works in `folder`."""
    lock = RunLock(folder)
    lock.take("xdist study")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _listening() -> Iterator[Callable[[], bool]]:
    """A function that says whether a signal asked to stop. Between runs such a signal interrupts at once; while ranks work,
    `launch` has its own handlers that let them save; here it is only noted."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, signal.default_int_handler) for number in local.STOP_SIGNALS}
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
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _wait_for_ranks(path: Path) -> None:
    """Ranks outlive a launcher that is killed; two sets of them must not write one folder."""
    said = False
    while _at_work(path):
        if not said:
            print(f"xdist: ranks of an earlier start still work on {path.stem}; waiting for them", file=sys.stderr)
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
