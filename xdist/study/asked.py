"""What was run, read off the descriptions of runs: of a study, or of run folders."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdist.config import Run
from xdist.config.differing import TRAINED, leaves
from xdist.config.method import Method
from xdist.config.run import TrainTask
from xdist.report.asked import StageRun, WhatWasRun
from xdist.report.results import Condition
from xdist.run.folder import RunFolder
from xdist.study.expansion import Graph, Node
from xdist.study.freeze import check_frozen, started_runs
from xdist.study.state import Standing

SECTIONS = (*(name for name in TRAINED if name != "seed"), "merge", "align")
FEW = 4  # languages that are named
NEITHER = frozenset({"data.root", "data.cache"})  # where files are
UNSHOWN = {"running": "is running", "stopped": "was stopped", "failed": "failed", "queued": "is queued"}


def describe_study_runs(graph: Graph, conditions: Sequence[Condition], standings: Mapping[str, Standing]) -> WhatWasRun:
    """Of a study."""
    first = conditions_nodes(graph, conditions)
    differs = {
        one.name: tuple(_differences(graph, first[one.name], first[one.against]))
        for one in conditions
        if one.against is not None and one.name in first and one.against in first
    }
    stages = tuple(
        _stage(stage, [(node.run, _begins(graph, node), node.updates) for node in graph.nodes.values() if node.stage == stage])
        for stage in dict.fromkeys(node.stage for node in graph.nodes.values())
    )
    study = graph.study
    return WhatWasRun(
        stages, differs, study.question, study.hypotheses, check_frozen(graph).said, unshown_runs(graph, standings)
    )


def describe_runs(runs: Mapping[str, Run], against: str) -> WhatWasRun:
    """Of run folders: by condition one run each, and the condition that they are compared with."""
    stages = (_stage("run", [(run, run.model.backbone, run.train.steps if run.train else 0) for run in runs.values()]),)
    keys = {name: _flat(run.dump(), run.given(), set()) for name, run in runs.items()}
    differs = {name: tuple(_told("", own, keys[against])) for name, own in keys.items() if name != against}
    return WhatWasRun(stages, differs)


def unshown_runs(graph: Graph, standings: Mapping[str, Standing]) -> tuple[str, ...]:
    """Runs in the study's folder that began and whose scores the report does not show: those of another description, and those
    that have not finished."""
    of_study = {node.run.folder.name: key for key, node in graph.nodes.items()}
    lines = []
    for name, _ in started_runs(graph):
        key = of_study.get(name)
        if key is None:
            state = RunFolder(graph.study.folder / "runs" / name).state
            lines.append(f"{name}: began ({state}), and is no run of the study as it is described now")
        elif standings[key].state in UNSHOWN:
            reason = f": {standings[key].reason}" if standings[key].reason else ""
            lines.append(f"{graph.nodes[key].run.name}: {UNSHOWN[standings[key].state]}{reason}")
    return tuple(lines)


def conditions_nodes(graph: Graph, conditions: Iterable[Condition]) -> dict[str, dict[str, Node]]:
    """By condition, the runs of its first combination by stage."""
    found: dict[str, dict[str, Node]] = {}
    for one in conditions:
        for point in graph.points:
            if all(point.values[axis] == value for axis, value in one.values.items()) and point.seed == one.seeds[0]:
                found[one.name] = {stage: graph.nodes[key] for stage, key in point.stages.items()}
                break
    return found


def _differences(graph: Graph, mine: Mapping[str, Node], theirs: Mapping[str, Node]) -> Iterable[str]:
    for stage in graph.study.stages:
        one, other = mine.get(stage), theirs.get(stage)
        if one and not other:
            yield f"{stage}: is used (not in the baseline)"
        elif other and not one:
            yield f"{stage}: is not used (used in the baseline)"
        elif one and other and one.key != other.key:
            places = {"model.backbone"} if one.upstream or other.upstream else set()
            yield from _told(f"{stage}: ", *(_flat(run.dump(), run.given(), places) for run in (one.run, other.run)))


@dataclass(frozen=True, slots=True)
class _Keys:
    """What each key of a run is, and which of them are shown where they differ: those that are not at their default."""

    values: Mapping[str, Any]
    told: Mapping[str, None]


def _flat(dumped: Mapping[str, Any], given_alone: Mapping[str, Any], without: set[str]) -> _Keys:
    values, given = (dict(leaves({name: found.get(name) for name in SECTIONS})) for found in (dumped, given_alone))
    names = [key for key in values if key.startswith("robust") and key.endswith((".method", ".radius"))]
    told = (key for key in (*names, *given) if key not in without | NEITHER and not _of_stage(key))
    return _Keys(values, dict.fromkeys(told))


def _of_stage(key: str) -> bool:
    """Whether a key of `merge` says where a study put a model that it made."""
    return key.startswith("merge.models") and key.endswith(".model")


def _told(lead: str, mine: _Keys, theirs: _Keys) -> Iterable[str]:
    for key in dict.fromkeys((*mine.told, *theirs.told)):
        one, other = mine.values.get(key), theirs.values.get(key)
        if one != other:
            yield f"{lead}{key} {_value(one)} (baseline: {_value(other)})"


def _value(value: Any) -> str:
    if value is None or value in ({}, []):
        return "not set"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _begins(graph: Graph, node: Node) -> str:
    """What the model of a run begins with."""
    return f"the model of {graph.nodes[node.upstream].stage}" if node.upstream else node.run.model.backbone


def _stage(stage: str, runs: Sequence[tuple[Run, str, int | None]]) -> StageRun:
    def joined(values: Iterable[str]) -> str:
        return " or ".join(dict.fromkeys(value for value in values if value)) or "–"

    trained = [(run, updates) for run, _, updates in runs if run.train]
    return StageRun(
        stage,
        len(runs),
        joined(encoder for _, encoder, _ in runs),
        joined(_data(run.train.tasks) for run, _ in trained if run.train) if trained else "nothing: it is evaluated",
        joined("not known yet" if updates is None else f"{updates:,}" for _, updates in trained),
        joined(f"{run.train.batch_size:,}" for run, _ in trained if run.train),
        joined(f"{run.train.learning_rate:g}" for run, _ in trained if run.train),
        joined(_robust(run.methods) for run, _ in trained),
    )


def _data(tasks: Iterable[TrainTask]) -> str:
    entries = []
    for entry in tasks:
        codes = entry.languages
        languages = ", ".join(codes) if len(codes) <= FEW else f"{len(codes)} languages"
        count = entry.rows if entry.rows is not None else entry.limit
        entries.append(f"{entry.task} ({languages}{f', {count:,} examples each' if count is not None else ''})")
    return " and ".join(entries)


def _robust(chain: Iterable[Method]) -> str:
    methods = []
    for method in chain:
        options = method.model_dump(mode="json", exclude={"method"}, exclude_defaults=True)
        radius = {"radius": method.model_dump(mode="json")["radius"]} if "radius" in type(method).model_fields else {}
        said = ", ".join(f"{key} {_value(value)}" for key, value in {**radius, **options}.items())
        methods.append(f"{method.method} ({said})" if said else str(method.method))
    return " and ".join(methods) or "none"
