"""Running a study on this machine: every run after those that it needs."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from xdist.data.look import find_without_gold
from xdist.errors import UserError
from xdist.launch import local
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
from xdist.study.runners import Runner, check_at_once, runner
from xdist.study.state import Standing, failure, note_failure, standing

STOPPED = local.UNFINISHED


def run_study(graph: Graph, facts: Facts, at_once: int = 1) -> int:
    """Do every run that is not done, `at_once` of them at a time; 0: all are finished, 75: stopped and saved, 1: some failed.

    A failed run stops only the runs that need it. Started again, finished runs are left as they are, stopped ones
    resume and failed ones are tried again. Raises UserError where every first run lacks files, and where one that is left to do
    has more ranks than this machine has GPUs, and as `check_stages` and `check_at_once`.
    """
    check_learns(graph)
    check_at_once(graph, at_once)
    for node in graph.nodes.values():
        if RunFolder(node.run.folder).state != "finished":
            devices.check(node.run.runtime.ranks)
            node.resolved.check_sinks()
    _check_data(graph, facts)
    check_stages(graph)
    with only_runner(graph.study.folder), runner(graph, facts, at_once) as there:
        try:
            return _do_all(graph, facts, there)
        except KeyboardInterrupt:
            return STOPPED


def _do_all(graph: Graph, facts: Facts, there: Runner) -> int:
    """As `run_study`."""
    found: dict[str, Standing] = {}
    left, stopping = list(graph.nodes), False
    while True:
        if not stopping:
            _begin(graph, facts, there, found, left)
        if not there.busy:
            break
        key, reason = there.next_ended()
        if there.stopping():
            stopping = True
            continue
        if reason:
            note_failure(graph, graph.nodes[key], reason)
        found[key] = standing(graph.nodes[key], graph, found, facts)
        stopping = stopping or found[key].state == "stopped"  # by someone who put a stop file into its folder
    if stopping:
        return STOPPED
    return local.FINISHED if all(standing.state == "finished" for standing in found.values()) else local.BROKEN


def _begin(graph: Graph, facts: Facts, there: Runner, found: dict[str, Standing], left: list[str]) -> None:
    """Begin as many of the runs that are `left` as there is room for, in their order, and take them from it; and those that are
    finished or blocked, which are `found` so."""
    for number, (key, node) in enumerate(graph.nodes.items(), start=1):
        if not there.room:
            return
        if key not in left or any(before not in found for before in node.before):
            continue
        left.remove(key)
        failure(graph, node).unlink(missing_ok=True)
        now = standing(node, graph, found, facts)
        if now.state == "finished":
            _leave(node)
        if now.state in ("finished", "blocked"):
            found[key] = now
            continue
        click.echo(f"[{number}/{len(graph.nodes)}] {node.run.name}: {node.run.folder}", err=True)
        there.begin(node)


def check_study(graph: Graph, at_once: int = 1) -> None:
    """Raises UserError, beginning with its name, for the first run that is not done and whose start would be refused, and for
    what runs are asked to learn and cannot be asked."""
    check_learns(graph)
    check_at_once(graph, at_once)
    check_targets(graph)
    check_stages(graph)
    for node in graph.nodes.values():
        run, folder = node.run, node.resolved.folder
        if folder.state == "finished":
            continue
        try:
            devices.check(run.runtime.ranks)
            resolved = resolve(run, node.work, to_come=graph.to_come(node), begins_with=graph.beginning(node))
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
