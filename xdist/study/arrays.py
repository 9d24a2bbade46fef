"""A study as an array of jobs, of which some run at a time; as several arrays where one may not hold all or there is no room.

An array is held until each element knows which runs it waits for, which may be others of its own elements. Which array is held
is in its folder, so that what was interrupted there is cancelled by the next start and submitted again.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import click

from xdist.config import Cluster
from xdist.errors import UserError, writing
from xdist.files import write_text
from xdist.launch import submission
from xdist.launch.arrays import JobArray, JobArrays
from xdist.launch.clusters import scheduler
from xdist.launch.scheduler import Scheduler
from xdist.study.expansion import Graph
from xdist.study.facts import Facts
from xdist.study.submitting import Step, any_left, make_ready

HELD = "held"  # in an array's folder: the scheduler and its number there, until it may begin


def take_back_held(graph: Graph, cluster: Cluster) -> None:
    """Cancel the arrays that an earlier start could not finish to hand over. Raises UserError where the scheduler refuses."""
    for file in sorted(_place(graph).glob(f"*/{HELD}")):
        kind, _, array = file.read_text(encoding="utf-8").partition(" ")
        if kind == cluster.kind:
            scheduler_ = scheduler(kind)
            state = scheduler_.ask(array).state
            try:
                scheduler_.cancel(array)
            except UserError:
                if not state.over:
                    raise
            file.unlink()


def texts(graph: Graph, steps: Sequence[Step], cluster: Cluster, at_once: int) -> dict[str, str]:
    """The texts of the arrays that would be submitted where the queue has room for all, by file below the study's folder."""
    waiting = [step for step in steps if step.what == "submit"]
    kind, _ = _arrays(cluster)
    size, texts_by_path = kind.largest_array(), {}
    for number in range(0, len(waiting), size):
        array = _array(graph, waiting[number : number + size], at_once, number // size)
        name, text = kind.render_array(array, cluster)
        texts_by_path[f"arrays/{array.folder.name}/{name}"] = text
    return texts_by_path


def submit(
    graph: Graph,
    facts: Facts,
    steps: Sequence[Step],
    cluster: Cluster,
    at_once: int,
    after: Sequence[str] = (),
    retry_seconds: float | None = None,
) -> Iterator[Step]:
    """Do the steps, giving each as it is done, `at_once` of each array at a time; runs that wait for no other wait for the jobs
    `after`. Where the queue has no room for all, it gets as many as it takes, and the others are tried again every
    `retry_seconds`. Raises UserError where the scheduler refuses, and, with None, for want of room."""
    kind, queue = _arrays(cluster)
    jobs = {step.node.key: step.job for step in steps if step.what != "submit"}
    yield from (step for step in steps if step.what != "submit")
    waiting = [step for step in steps if step.what == "submit"]
    for step in waiting:
        make_ready(graph, facts, step, cluster)
    largest = kind.largest_array()
    size, reported = largest, False
    while waiting:
        part = waiting[:size]
        try:
            done = _handed_over(graph, part, cluster, at_once, jobs, after)
        except UserError as error:
            if not queue.full(str(error)):
                raise
            if len(part) > 1:  # the queue may have room for half of them
                size = len(part) // 2
                continue
            if retry_seconds is None or not any_left(queue, jobs.values()):
                raise
            if not reported:
                click.echo(f"{len(waiting)} runs: no room in the queue; tried again every {retry_seconds} s", err=True)
            reported = True
            sleep(retry_seconds)
            size = largest
            continue
        yield from done
        waiting = waiting[len(done) :]


def _arrays(cluster: Cluster) -> tuple[JobArrays, Scheduler[Any]]:
    kind = scheduler(cluster.kind)
    if not isinstance(kind, JobArrays):
        raise UserError(f"a cluster of kind '{cluster.kind}' knows no arrays")
    return kind, kind


def _handed_over(
    graph: Graph, steps: Sequence[Step], cluster: Cluster, at_once: int, jobs: dict[str, str], after: Sequence[str]
) -> list[Step]:
    """The steps with their jobs, which are added to `jobs` (by key), as elements of one array that may begin. Raises UserError,
    with nothing left in the queue."""
    kind, queue = _arrays(cluster)
    array = _array(graph, steps, at_once)
    name, text = kind.render_array(array, cluster)
    elements = {}
    with writing(array.folder):
        array.folder.mkdir(parents=True)
        write_text(array.folder / name, text)
    held_job = ""
    try:
        held_job = kind.submit_held(array.folder / name)
        write_text(array.folder / HELD, f"{cluster.kind} {held_job}")
        for number, step in enumerate(steps, start=1):
            elements[step.node.key] = kind.element(held_job, number)
            if step.plan:
                (array.folder / str(number)).symlink_to(step.plan.job.folder)
                submission.write_job(step.plan)
                submission.record_job(step.plan, elements[step.node.key])
        for needs, numbers in _waiting(steps, {**jobs, **elements}, after).items():
            kind.begin_after(held_job, numbers, needs)
        kind.release(held_job)
    except (UserError, KeyboardInterrupt):
        if held_job:
            queue.cancel(held_job)
        shutil.rmtree(array.folder)
        raise
    (array.folder / HELD).unlink()
    jobs.update(elements)
    return [replace(step, job=elements[step.node.key]) for step in steps]


def _waiting(steps: Sequence[Step], jobs: Mapping[str, str], after: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    """The numbers of the elements that wait for the same jobs, by these."""
    by_waits: dict[tuple[str, ...], list[int]] = {}
    for number, step in enumerate(steps, start=1):
        if needs := tuple(jobs[key] for key in step.after) or tuple(after):
            by_waits.setdefault(needs, []).append(number)
    return by_waits


def _array(graph: Graph, steps: Sequence[Step], at_once: int, more: int = 0) -> JobArray:
    """In a folder that does not exist yet, `more` numbers after the next."""
    numbers = [int(path.name) for path in _place(graph).glob("*") if path.name.isdecimal()]
    folder = _place(graph).absolute() / str(max(numbers, default=0) + 1 + more)
    return JobArray(graph.study.name, folder, tuple(step.node.run.name for step in steps), at_once)


def _place(graph: Graph) -> Path:
    return graph.study.folder / "arrays"
