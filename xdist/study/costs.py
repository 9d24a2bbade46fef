"""What each condition of a study took, from its run folders: seconds of all ranks together, and the memory of one.

Counted is what makes its model: trainings, each as if it were made for this condition alone, and fits of maps. Not counted are
evaluations, merges, the preparation of data, and what a teacher was asked, which other runs find done.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from xdist.data.aligned import FACTS
from xdist.errors import UserError
from xdist.files import read_json
from xdist.report.record import Record
from xdist.study.expansion import Graph, Point


def said_cost(graph: Graph, points: Iterable[Point], records: Mapping[str, Record]) -> str:
    """'824 s, 1.2 GB': the mean over seeds, and the most of any run; empty where a run has not logged it yet. `records` by key
    of the run."""
    seconds, memory = [], [0.0]
    for point in points:
        spent = 0.0
        for key in _behind(graph, point):
            run, metrics = graph.nodes[key].run, records[key].metrics
            if run.train is not None:
                if "train/rank_seconds" not in metrics:
                    return ""
                spent += sum(value for _, value in metrics["train/rank_seconds"])
                memory += [value for _, value in metrics.get("train/peak_gb", [])]
            facts = _fitted(run.folder)
            spent += _number(facts, "rank_seconds")
            memory.append(_number(facts, "peak_gb"))
        seconds.append(spent)
    if not any(seconds):
        return ""
    most = f", {max(memory):.2g} GB" if max(memory) else ""
    return f"{fmean(seconds):,.0f} s{most}"


def _behind(graph: Graph, point: Point) -> list[str]:
    """The keys of the runs that the last one of a combination rests on, and its own."""
    found: dict[str, None] = {}
    left = [point.last]
    while left:
        key = left.pop()
        if key not in found:
            found[key] = None
            left += graph.nodes[key].before
    return list(found)


def _fitted(folder: Path) -> Mapping[str, object]:
    """The record of a fit of maps in a run folder."""
    path = folder / "alignment" / FACTS
    try:
        facts = read_json(path) if path.is_file() else {}
    except UserError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _number(facts: Mapping[str, object], name: str) -> float:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
