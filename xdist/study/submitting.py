"""A study on a cluster: a job for every run that is not done, each waiting for the one whose model it begins with.

A scheduler whose jobs can wait keeps what waits. Where no job waits for another, one that waited by itself would hold its GPUs,
which may be those that the run before it needs: there only what can begin is submitted, and the same command submits the rest
later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xdist.config import Cluster, recorded_run
from xdist.errors import UserError
from xdist.files import write_yaml
from xdist.launch import submission
from xdist.launch.clusters import kind_of, scheduler
from xdist.launch.scheduler import JobState, Scheduler
from xdist.launch.submission import Submission
from xdist.run.folder import RunFolder
from xdist.study.expansion import Graph, Node
from xdist.study.facts import Facts
from xdist.study.state import failure, make_scorable, standings

What = Literal["finished", "there", "submit", "later"]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one run: it is finished, a job of it is there, one is to be submitted now, or later. `job` is its number
    or name once there is one, `after` the key of the run that it waits for, `dead` a job of it to be cancelled, since it waits
    for one that failed."""

    node: Node
    what: What
    job: str = ""
    after: str | None = None
    plan: Submission | None = None
    dead: str = ""


def plan(graph: Graph, facts: Facts, cluster: Cluster) -> list[Step]:
    """A step per run, upstream runs first; nothing is written or submitted. Raises UserError for the first run that the cluster
    cannot have, and for a cluster without a queue."""
    if not isinstance(kind_of(cluster), Scheduler):
        raise UserError(f"a cluster of kind '{cluster.kind}' has no queue; `xdist study run` does the runs on this machine")
    found = standings(graph, facts)
    steps: dict[str, Step] = {}
    for key, node in graph.nodes.items():
        there = submission.live(node.run.folder, cluster.kind)
        before = steps[node.upstream] if node.upstream else None
        after = node.upstream if before and before.what != "finished" else None
        waits = there is not None and there[1].state is JobState.WAITING
        dead = there[0] if there and waits and before and before.what == "submit" else ""
        if found[key].state == "finished" or _complete(node, cluster):
            steps[key] = Step(node, "finished")
        elif there and not dead:
            steps[key] = Step(node, "there", there[0], after)
        else:
            try:
                planned = submission.plan(
                    node.run,
                    description(graph, node),
                    cluster,
                    to_come=graph.to_come(node),
                    begins_with=graph.beginning(node),
                )
            except UserError as error:
                raise UserError(f"{node.run.name}: {error}") from None
            later = after is not None and not kind_of(cluster).can.waits
            steps[key] = Step(node, "later" if later else "submit", after=after, plan=planned, dead=dead)
    return list(steps.values())


def submit(graph: Graph, facts: Facts, steps: Sequence[Step], after: Sequence[str] = ()) -> Iterator[Step]:
    """Do the steps, giving each as it is done; runs that wait for no other wait for the jobs `after`. Started again it goes on
    with what is left. Raises UserError where the scheduler refuses."""
    jobs: dict[str, str] = {}
    for step in steps:
        if step.plan and step.what == "submit":
            node, run = step.node, step.node.run
            failure(graph, node).unlink(missing_ok=True)
            write_yaml(description(graph, node), run.dump())
            if run.evaluate and kind_of(step.plan.cluster).can.shared_files:
                make_scorable(node, facts)
            if step.dead:
                scheduler(step.plan.cluster.kind).cancel(step.dead)
            step = replace(step, job=submission.submit(step.plan, [jobs[step.after]] if step.after else after))
        jobs[step.node.key] = step.job
        yield step


def description(graph: Graph, node: Node) -> Path:
    """Where the run's own YAML lies in the study's folder."""
    return graph.study.folder / "descriptions" / f"{node.run.folder.name}.yaml"


def _complete(node: Node, cluster: Cluster) -> bool:
    """Whether its job, which had the same to score, has ended well, where its folder is not seen from here."""
    run = node.run
    there = submission.record(run.folder)
    if kind_of(cluster).can.shared_files or not there or there.kind != cluster.kind or there.only_prepares:
        return False
    if recorded_run(RunFolder(run.folder).config).evaluate != run.evaluate:
        return False
    return there.scheduler.state(there.job).state is JobState.FINISHED
