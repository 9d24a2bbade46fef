"""A study on a cluster: a job for every run that is not done, each waiting for the one whose model it begins with.

A scheduler whose jobs can wait keeps what waits. Where no job waits for another, one that waited by itself would hold its GPUs,
which may be those that the run before it needs: there only what can begin is submitted, and the same command submits the rest
later.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep
from typing import Any, Literal

import click

from xdist.config import Cluster, recorded_run
from xdist.errors import UserError, writing
from xdist.files import write_text, write_yaml
from xdist.launch import submission
from xdist.launch.clusters import kind_of, scheduler
from xdist.launch.scheduler import JobState, Scheduler
from xdist.launch.submission import Submission
from xdist.run.folder import RunFolder
from xdist.study.expansion import Graph, Node
from xdist.study.facts import Facts
from xdist.study.leaks import check_stages
from xdist.study.state import failure, make_scorable, standings

What = Literal["finished", "there", "submit", "later"]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one run: it is finished, a job of it exists, one is to be submitted now, or later. `job` is its number
    or name once there is one, `after` the keys of the runs that it waits for, `dead` a job of it to be cancelled, since it
    waits for one that failed."""

    node: Node
    what: What
    job: str = ""
    after: tuple[str, ...] = ()
    plan: Submission | None = None
    dead: str = ""


def plan(graph: Graph, facts: Facts, cluster: Cluster) -> list[Step]:
    """A step per run, upstream runs first; nothing is written or submitted. Raises UserError for the first run that the cluster
    cannot have, for a cluster without a queue, and as `check_stages`."""
    if not isinstance(kind_of(cluster), Scheduler):
        raise UserError(f"a cluster of kind '{cluster.kind}' has no queue; `xdist study run` does the runs on this machine")
    check_stages(graph)
    found = standings(graph, facts)
    steps: dict[str, Step] = {}
    for key, node in graph.nodes.items():
        there = submission.live_job(node.run.folder, cluster.kind)
        after = tuple(key for key in node.before if steps[key].what != "finished")
        waits = there is not None and there[1].state is JobState.WAITING
        dead = there[0] if there and waits and any(steps[key].what == "submit" for key in after) else ""
        if found[key].state == "finished" or _complete(node, cluster):
            steps[key] = Step(node, "finished")
        elif there and not dead:
            steps[key] = Step(node, "there", there[0], after)
        else:
            try:
                planned = submission.plan(
                    node.run,
                    graph.yaml_of(node),
                    cluster,
                    to_come=graph.to_come(node),
                    begins_with=graph.beginning(node),
                )
            except UserError as error:
                raise UserError(f"{node.run.name}: {error}") from None
            later = bool(after) and not kind_of(cluster).can.waits
            steps[key] = Step(node, "later" if later else "submit", after=after, plan=planned, dead=dead)
    return list(steps.values())


def submit(
    graph: Graph, facts: Facts, steps: Sequence[Step], after: Sequence[str] = (), retry_seconds: float | None = None
) -> Iterator[Step]:
    """Do the steps, giving each as it is done; runs that wait for no other wait for the jobs `after`. Started again it
    continues with what is left. Raises UserError where the scheduler refuses; where it has too many jobs, and some are the
    study's, it is asked again every `retry_seconds`, unless that is None."""
    jobs: dict[str, str] = {}
    for step in steps:
        if step.plan and step.what == "submit":
            run = step.node.run
            make_ready(graph, facts, step, step.plan.cluster)
            needs = [jobs[key] for key in step.after] or after
            waited = False
            while not (job := _submit_if_room(step.plan, needs, jobs.values(), retry_seconds)):
                if not waited:
                    click.echo(f"{run.name}: no room in the queue; tried again every {retry_seconds} s", err=True)
                waited = True
                sleep(retry_seconds or 0)
            step = replace(step, job=job)
        jobs[step.node.key] = step.job
        yield step


def make_ready(graph: Graph, facts: Facts, step: Step, cluster: Cluster) -> None:
    """What is in the way of a run that is to be submitted goes, and the study's folder says what it is."""
    node = step.node
    failure(graph, node).unlink(missing_ok=True)
    write_yaml(graph.yaml_of(node), node.run.dump())
    if node.run.evaluate and kind_of(cluster).can.shared_files:
        make_scorable(node, facts)
    if step.dead:
        scheduler(cluster.kind).cancel(step.dead)


def _submit_if_room(plan: Submission, after: Sequence[str], before: Iterable[str], retry_seconds: float | None) -> str:
    """The job that was submitted; empty where there is no room for it yet, since jobs `before` it have not ended."""
    there = scheduler(plan.cluster.kind)
    try:
        return submission.submit(plan, after)
    except UserError as error:
        if retry_seconds is None or not there.full(str(error)) or not any_left(there, before):
            raise
        return ""


def any_left(there: Scheduler[Any], jobs: Iterable[str]) -> bool:
    """Whether one of these jobs has not ended."""
    return any(not there.state(job).state.over for job in jobs if job)


def write_texts(steps: Sequence[Step], folder: Path, arrays: Mapping[str, str] | None = None) -> int:
    """Put what the scheduler would get into `folder`: a folder for each run that has a job to come, and `arrays` of these, by
    the names of their files. Returns how many files. Raises UserError where something exists already, RunError where
    nothing can be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists; name a new folder")
    texts = {folder / step.plan.job.name / name: text for step in steps if step.plan for name, text in step.plan.texts.items()}
    texts |= {folder / name: text for name, text in (arrays or {}).items()}
    with writing(folder):
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
    return len(texts)


def _complete(node: Node, cluster: Cluster) -> bool:
    """Whether its job, which had the same to score, has ended well, where its folder is not seen from here."""
    run = node.run
    there = submission.recorded_job(run.folder)
    if kind_of(cluster).can.shared_files or not there or there.kind != cluster.kind or there.only_prepares:
        return False
    if recorded_run(RunFolder(run.folder).config).evaluate != run.evaluate:
        return False
    return there.scheduler.state(there.job).state is JobState.FINISHED
