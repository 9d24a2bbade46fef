"""The conditions of a study: which of its combinations are seeds and tasks of one way to train, and what each is compared with.

Conditions differ along the axes that `baseline` names, or along all where it names none, and then the first value of each is
what is compared with. Of the other axes, one whose values are scored on different tasks adds tasks to a condition; one whose
values are scored on the same ones, such as a model's size, makes conditions, compared with a baseline of the same value.
"""

from collections.abc import Iterable, Mapping

from xdist.errors import UserError, unknown
from xdist.report.results import Condition, Labelled
from xdist.study.expansion import Graph, Point
from xdist.study.needs import data_needed


def condition_name(values: Mapping[str, str], axes: Iterable[str]) -> str:
    """What a condition is called: "intermediate: none, robust: adversarial"."""
    return ", ".join(f"{axis}: {values[axis]}" for axis in axes)


def conditions_of(graph: Graph, against: str | None = None) -> tuple[tuple[Condition, ...], dict[int, str], tuple[str, ...]]:
    """The conditions, baselines first, the condition of each combination by its number, and notes on how they were chosen.
    Raises UserError for an `against` that names none."""
    study = graph.study
    adding = {axis for axis in study.axes if axis not in study.baseline and _adds_tasks(graph, axis)}
    condition_axes = [axis for axis in study.axes if axis not in adding]
    baseline = dict(study.baseline) or {axis: next(iter(study.axes[axis])) for axis in condition_axes}
    varying = [axis for axis in condition_axes if len({point.values[axis] for point in graph.points}) > 1]
    names: dict[int, str] = {}
    members: dict[str, list[Point]] = {}
    for number, point in enumerate(graph.points):
        names[number] = condition_name(point.values, varying) or study.name
        members.setdefault(names[number], []).append(point)
    compared = {name: _baseline(points[0].values, baseline, varying) or study.name for name, points in members.items()}
    notes = []
    if not study.baseline:
        notes.append(
            f"The study names no baseline; the first value of each axis was taken: {condition_name(baseline, baseline)}."
        )
    if against is not None:
        if against not in members:
            raise UserError(unknown("condition", against, members))
        compared = dict.fromkeys(members, against)
        notes = []
    if absent := sorted({name for name in compared.values() if name not in members}):
        notes.append(f"What would be compared with {absent[0]} is compared with nothing: the study leaves that out.")
    same: dict[frozenset[tuple[int, str]], list[str]] = {}
    for name, points in members.items():
        same.setdefault(frozenset((point.seed, point.last) for point in points), []).append(name)
    for twins in (twins for twins in same.values() if len(twins) > 1):
        notes.append(f"{' and '.join(twins)} are the same runs: they differ in nothing that decides what is trained.")
    conditions = [
        Condition(
            name,
            compared[name] if compared[name] != name and compared[name] in members else None,
            {axis: points[0].values[axis] for axis in condition_axes},
            tuple(dict.fromkeys(point.seed for point in points)),
            _seen(graph, points),
            _labelled(graph, points),
            ", ".join(sorted(_needs(graph, points))),
        )
        for name, points in members.items()
    ]
    return tuple(sorted(conditions, key=lambda condition: condition.against is not None)), names, tuple(notes)


def _baseline(values: Mapping[str, str], baseline: Mapping[str, str], varying: list[str]) -> str:
    return condition_name({**values, **baseline}, varying)


def _adds_tasks(graph: Graph, axis: str) -> bool:
    """Whether no two values of the axis are scored on a common task."""
    tasks: dict[str, set[str]] = {}
    for point in graph.points:
        evaluate = graph.nodes[point.last].run.evaluate
        tasks.setdefault(point.values[axis], set()).update(evaluate.tasks if evaluate else ())
    return len(tasks) > 1 and sum(map(len, tasks.values())) == len(set().union(*tasks.values()))


def _needs(graph: Graph, points: list[Point]) -> set[str]:
    needs: set[str] = set()
    for node in (graph.nodes[key] for point in points for key in point.stages.values()):
        trained = ((subset.task, subset.language) for subset in node.resolved.subsets.training)
        train = node.run.train
        parallel, model = train.parallel if train else None, node.run.model
        needs |= data_needed(trained, node.run.methods, node.run.align, parallel, model.syntax, model.branches is not None)
    return needs


def _seen(graph: Graph, points: list[Point]) -> tuple[str, ...]:
    nodes = [graph.nodes[key] for point in points for key in point.stages.values()]
    entries = [entry for node in nodes if node.run.train for entry in node.run.train.tasks]
    return tuple(sorted({code for entry in entries for code in entry.languages}))


def _labelled(graph: Graph, points: list[Point]) -> tuple[Labelled, ...]:
    """What any stage trains on, entry by entry; the same with every seed."""
    labelled: dict[Labelled, None] = {}
    for key in dict.fromkeys(key for point in points if point.seed == points[0].seed for key in point.stages.values()):
        run, subsets = graph.nodes[key].run, iter(graph.nodes[key].resolved.subsets.training)
        for entry in run.train.tasks if run.train else ():
            languages = tuple(next(subsets).language for _ in entry.languages)
            labelled[Labelled(entry.task, languages, entry.rows)] = None
    return tuple(labelled)
