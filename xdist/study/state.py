"""The state of each run of a study, read from the run folders alone."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xdist.errors import UserError, one_line
from xdist.evaluation.scores import Scores
from xdist.evaluation.to_do import MixtureError, plan_work
from xdist.files import write_text
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock
from xdist.run.recorded import TEXTS, recorded_json
from xdist.run.sinks.json_lines import last_step
from xdist.study.expansion import Graph, Node
from xdist.study.facts import Facts

NodeState = Literal["finished", "running", "queued", "stopped", "failed", "blocked", "waiting"]
EVALUATED = ".evaluated.json"  # next to a run folder, by earlier versions: digests of what its scores are made from
FAILED = "study-failed"  # in a study folder: why runs failed that have no folder to say so


@dataclass(frozen=True, slots=True)
class Standing:
    """`step` of `steps` updates, None where that is not known; `reason` of what failed or is blocked, and of scores that cannot
    be read."""

    state: NodeState
    step: int
    steps: int | None
    reason: str = ""


def standings(graph: Graph, facts: Facts) -> dict[str, Standing]:
    """The standing of every run, by key, upstream runs first."""
    found: dict[str, Standing] = {}
    for key, node in graph.nodes.items():
        found[key] = standing(node, graph, found, facts)
    return found


def standing(node: Node, graph: Graph, before: Mapping[str, Standing], facts: Facts) -> Standing:
    """The standing of one run, given those of the runs before it."""
    folder = RunFolder(node.run.folder)
    step, steps = last_step(folder.metrics), node.updates
    if broken := [key for key in node.before if before[key].state in ("failed", "blocked")]:
        return Standing("blocked", step, steps, f"needs {graph.nodes[broken[0]].run.name}")
    scored, why = _is_scored_or_why(node, facts) if folder.state == "finished" else (False, "")
    if scored and folder.model_not_kept and graph.is_needed(node.key):
        scored, why = False, "its model was not kept, and another run needs it now: it is trained again"
    if scored:
        return Standing("finished", step, steps)
    note = failure(graph, node)
    if folder.state == "failed" or note.is_file():
        return Standing("failed", step, steps, one_line(_text(note) if note.is_file() else folder.reason()))
    if folder.state in ("unfinished", "finished"):  # finished: trained, and more is to be scored
        return Standing("stopped", step, steps, why)
    if folder.state == "running" and not folder.environment.exists():  # announced at submission; no rank has started
        return Standing("queued", step, steps)
    if folder.state == "running" and RunLock(folder.path).left_behind():  # killed on this machine
        return Standing("stopped", step, steps)
    return Standing("running" if folder.state == "running" else "waiting", step, steps)


def failure(graph: Graph, node: Node) -> Path:
    return graph.study.folder / FAILED / node.key


def note_failure(graph: Graph, node: Node, reason: str) -> None:
    write_text(failure(graph, node), reason + "\n")


def is_scored(node: Node, facts: Facts) -> bool:
    """Whether everything that the run evaluates has a score, made from the files as they are now."""
    return _is_scored_or_why(node, facts)[0]


def _is_scored_or_why(node: Node, facts: Facts) -> tuple[bool, str]:
    """As `is_scored`; and why that cannot be said, "" where it can."""
    if node.run.evaluate is None:
        return True, ""
    try:
        return not plan_work(node.resolved.request, facts.digests) and not has_stale_scores(node, facts), ""
    except UserError as error:
        return False, str(error)


def has_stale_scores(node: Node, facts: Facts) -> bool:
    """Whether scores of an earlier version, which do not say what they were made of, were made from other files than there are
    now, as far as that was noted next to the folder."""
    resolved = node.resolved
    beside = _beside(resolved.folder)
    noted = recorded_json(beside, TEXTS) if beside.is_file() else {}
    scores = Scores(resolved.folder.scores, resolved.run.name)
    untold = [
        subset
        for subset in resolved.subsets.evaluation
        if str(subset) in noted and f"{subset.split} {subset.language}" not in scores.made(subset.task.name)
    ]
    return any(noted[str(subset)] != facts.subset(resolved.run.data, subset) for subset in untold)


def make_scorable(node: Node, facts: Facts) -> None:
    """Remove predictions and scores that another model or other options than the study's made, and those of an earlier version
    made from other files than there are now: the study's description is what counts."""
    folder = node.resolved.folder
    try:
        plan_work(node.resolved.request, facts.digests)
        other = has_stale_scores(node, facts)
    except MixtureError:
        other = True
    except UserError:  # of a file, say: the run itself will say so
        other = False
    if other:
        folder.scores.unlink(missing_ok=True)
        _beside(folder).unlink(missing_ok=True)
        shutil.rmtree(folder.predictions, ignore_errors=True)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _beside(folder: RunFolder) -> Path:
    return folder.path.with_name(folder.path.name + EVALUATED)
