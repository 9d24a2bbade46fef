"""The design of a study as `study power` needs it, and what pilot runs say of how far scores spread."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xdist.config import Data
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.languages import TAIL, Pretraining, identity
from xdist.metrics import METRICS
from xdist.metrics.counts import CountRows
from xdist.report.naming import group_of
from xdist.run.folder import RunFolder
from xdist.study.conditions import conditions_of
from xdist.study.expansion import Graph, Node, Point
from xdist.study.power import Design, DesignTask
from xdist.study.power_spread import Spread, measured_spread, stated_spread
from xdist.study.state import Standing

GUESSED = 1000  # examples of a set of unknown size


def design_of(graph: Graph, read: bool = True) -> Design:
    """What is compared, on what. `read`: existing files are counted; without, as officially published. Raises UserError
    where nothing is compared or scored."""
    conditions, of_point, _ = conditions_of(graph)
    if not any(one.against for one in conditions):
        raise UserError(f"{graph.study.path}: compares nothing: it has one condition")
    tasks: dict[str, DesignTask] = {}
    notes: dict[str, None] = {}
    first = conditions[0]
    for number, point in enumerate(graph.points):
        last = graph.nodes[point.last]
        for subset in _scored(last):
            name = subset.task.name
            if not METRICS.get(subset.task.metric).percent:
                notes[f"{name} is skipped: its metric is not in per cent"] = None
                continue
            task = tasks.setdefault(name, DesignTask(name, f"{subset.task.sentences} {subset.split}", {}, point.last))
            if of_point[number] == first.name and point.seed == first.seeds[0]:
                tasks[name] = replace(task, owner=point.last)
            if subset.language not in task.sizes:
                size = _size(subset, last.run.data, read)
                if size is None:
                    notes[f"{name}: the number of its examples is not known; {GUESSED:,} a language are assumed"] = None
                task.sizes[subset.language] = size or GUESSED  # type: ignore[index]
            if not task.more and subset.split == "test" and (both := _dev_and_test(subset)):
                tasks[name] = replace(tasks[name], more=both)
    trained = _trained(graph, graph.points)
    found = []
    for task in tasks.values():
        sizes = {code: n for code, n in task.sizes.items() if identity(code) not in trained.get(task.name, ())}
        if sizes:
            found.append(replace(task, sizes=sizes))
    if not found:
        raise UserError(f"{graph.study.path}: scores nothing that a difference could be over")
    node = graph.nodes[graph.points[0].last]
    return Design(conditions, tuple(found), node.resolved.pretraining, tuple(notes))


def _scored(node: Node) -> Sequence[Subset]:
    """Those whose files exist, or all where none is."""
    try:
        return node.resolved.subsets.evaluation
    except UserError:
        return node.resolved.subsets.evaluation_named


def _size(subset: Subset, data: Data, read: bool) -> int | None:
    official = subset.task.count(subset.split, subset.language)
    if official is not None and not read:
        return official
    try:
        return sum(1 for _ in subset.task.examples(data.root, subset.split, subset.language)) or official
    except (UserError, OSError):
        return official


def _dev_and_test(subset: Subset) -> float:
    """How many times the examples of test dev and test have together, officially; 0 where that is not known."""
    dev, test = (subset.task.count(split, subset.language) for split in ("dev", "test"))
    return (dev + test) / test if dev and test else 0.0


def _trained(graph: Graph, points: Iterable[Point]) -> dict[str, set[str]]:
    """By task that is scored, the languages that its head was trained on, or that its model was chosen by, in any condition."""
    languages: dict[str, set[str]] = {}
    for point in points:
        heads: dict[str, set[str]] = {}
        for key in point.stages.values():
            subsets = graph.nodes[key].resolved.subsets
            for subset in (*subsets.training, *subsets.selection):
                heads.setdefault(subset.task.head, set()).add(identity(subset.language))
        for subset in _scored(graph.nodes[point.last]):
            languages.setdefault(subset.task.name, set()).update(heads.get(subset.task.head, ()))
    return languages


Pilot = Mapping[str, Sequence[Path]]
"""By condition, the folders of its seeds."""


def pilot_of(graph: Graph, standings: Mapping[str, Standing]) -> Pilot:
    """The runs of the study itself that are finished and scored."""
    _, of_point, _ = conditions_of(graph)
    found: dict[str, dict[Path, None]] = {}
    for number, point in enumerate(graph.points):
        folder = graph.nodes[point.last].run.folder
        if number in of_point and standings[point.last].state == "finished" and RunFolder(folder).scores.is_file():
            found.setdefault(of_point[number], {})[folder] = None
    return {name: list(folders) for name, folders in found.items()}


def pilot_in(places: Sequence[Path]) -> Pilot:
    """Run folders, or folders of studies, whose runs have scores; those that differ in their seed alone are of one condition.
    Raises UserError where there are none."""
    from xdist.study.loose import kind_of  # imports torch

    folders: dict[Path, None] = {}
    for place in places:
        inside = sorted(path.parent for path in (place / "runs").glob("*/scores.json"))
        folders |= dict.fromkeys([place] if (place / "scores.json").is_file() else inside)
    ended = [folder for folder in folders if RunFolder(folder).state == "finished"]
    if not ended:
        raise UserError(
            f"{', '.join(map(str, places))}: no finished run with scores; name run folders, or the folder of a study"
        )
    found: dict[str, list[Path]] = {}
    for folder in ended:
        found.setdefault(kind_of(RunFolder(folder)), []).append(folder)
    return found


def spreads_of(design: Design, graph: Graph, pilot: Pilot) -> dict[str, Spread]:
    """By task, from the pilot runs that were scored on it, else as the study states it."""
    otherwise = stated_spread(graph.study.power)
    if not pilot:
        return {task.name: otherwise for task in design.tasks}
    from xdist.evaluation.per_example import Gold, scored_tasks  # imports torch

    gold = Gold()
    spreads: dict[str, Spread] = {}
    for task in design.tasks:
        rows: dict[str, list[Mapping[str, CountRows]]] = {}
        metrics, trained = {}, set[str]()
        for name, folders in pilot.items():
            for folder in folders:
                if (scored := scored_tasks(folder, gold, task.name).get(task.name)) and scored.rows:
                    rows.setdefault(name, []).append(scored.rows)
                    metrics[scored.scored_by] = scored.metric
                    trained |= set(scored.trained_on)
        if len(metrics) > 1:
            raise UserError(f"{task.name}: pilot runs were scored by {' and '.join(sorted(metrics))}")
        groups = _fixed_groups({code for of in rows.values() for run in of for code in run} - trained, design.read)
        metric = next(iter(metrics.values()), None)
        spreads[task.name] = (metric and measured_spread(rows, metric, groups, otherwise)) or otherwise
    return spreads


def _fixed_groups(codes: Iterable[str], read: Pretraining) -> dict[str, str]:
    return {code: "tail" if (group := group_of(code, read)) in TAIL else "head" if read.sized else group for code in codes}
