"""What was run, read off the descriptions of runs: of a study, or of run folders."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdist.config import Run
from xdist.config.differing import TRAINED, leaves
from xdist.config.method import Method
from xdist.config.train import TrainTask
from xdist.report.asked import StageRun, WhatWasRun
from xdist.report.results import Condition
from xdist.run.folder import RunFolder
from xdist.study.expansion import Graph, Node
from xdist.study.freeze import check_frozen, started_runs
from xdist.study.series import number_series
from xdist.study.state import Standing

SECTIONS = (*(name for name in TRAINED if name != "seed"), "merge", "align")
FEW = 4  # languages that are named
NEITHER = frozenset({"data.root", "data.cache"})  # where files are
UNSHOWN = {"running": "is running", "stopped": "was stopped", "failed": "failed", "queued": "is queued"}


def describe_study_runs(graph: Graph, conditions: Sequence[Condition], standings: Mapping[str, Standing]) -> WhatWasRun:
    """Of a study."""
    first = conditions_nodes(graph, conditions)
    differs = {
        condition.name: tuple(_differences(graph, first[condition.name], first[condition.against]))
        for condition in conditions
        if condition.against is not None and condition.name in first and condition.against in first
    }
    stages = tuple(
        _stage(stage, [(node.run, _begins(graph, node), node.updates) for node in graph.nodes.values() if node.stage == stage])
        for stage in dict.fromkeys(node.stage for node in graph.nodes.values())
    )
    study = graph.study
    inside = str(study.folder)  # what a stage takes from another differs as that one does
    values = {
        name: {
            f"{stage}: {key}": value
            for stage, node in nodes.items()
            for key, value in _flat(node.run.dump(), {}, set()).values.items()
            if not str(value).startswith(inside)
        }
        for name, nodes in first.items()
    }
    series = number_series(values, {one.name: one.against for one in conditions})
    unshown, frozen = unshown_runs(graph, standings), check_frozen(graph)
    return WhatWasRun(stages, differs, frozen.question or study.question, study.hypotheses, frozen.said, unshown, series)


def describe_runs(runs: Mapping[str, Run], against: str) -> WhatWasRun:
    """Of run folders: by condition one run each, and the condition that they are compared with."""
    stages = (_stage("run", [(run, run.model.backbone, run.train.steps if run.train else 0) for run in runs.values()]),)
    keys = {name: _flat(run.dump(), run.given(), set()) for name, run in runs.items()}
    differs = {name: tuple(_differing_values("", own, keys[against])) for name, own in keys.items() if name != against}
    series = number_series({name: one.values for name, one in keys.items()}, dict.fromkeys(differs, against))
    return WhatWasRun(stages, differs, series=series)


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
    nodes: dict[str, dict[str, Node]] = {}
    for condition in conditions:
        for point in graph.points:
            if (
                all(point.values[axis] == value for axis, value in condition.values.items())
                and point.seed == condition.seeds[0]
            ):
                nodes[condition.name] = {stage: graph.nodes[key] for stage, key in point.stages.items()}
                break
    return nodes


def _differences(graph: Graph, mine: Mapping[str, Node], theirs: Mapping[str, Node]) -> Iterable[str]:
    for stage in graph.study.stages:
        our_node, their_node = mine.get(stage), theirs.get(stage)
        if our_node and not their_node:
            yield f"{stage}: is used (not in the baseline)"
        elif their_node and not our_node:
            yield f"{stage}: is not used (used in the baseline)"
        elif our_node and their_node and our_node.key != their_node.key:
            places = {"model.backbone"} if our_node.upstream or their_node.upstream else set()
            yield from _differing_values(
                f"{stage}: ", *(_flat(run.dump(), run.given(), places) for run in (our_node.run, their_node.run))
            )


@dataclass(frozen=True, slots=True)
class _Keys:
    """What each key of a run is, and which of them are shown where they differ: those that are not at their default."""

    values: Mapping[str, Any]
    told: Mapping[str, None]


def _flat(dumped: Mapping[str, Any], given_alone: Mapping[str, Any], without: set[str]) -> _Keys:
    values, given = (dict(leaves({name: dump.get(name) for name in SECTIONS})) for dump in (dumped, given_alone))
    names = [key for key in values if key.startswith("robust") and key.endswith((".method", ".radius"))]
    shown = (key for key in (*names, *given) if key not in without | NEITHER and not _of_stage(key))
    return _Keys(values, dict.fromkeys(shown))


def _of_stage(key: str) -> bool:
    """Whether a key of `merge` says where a study put a model that it made."""
    return key.startswith("merge.models") and key.endswith(".model")


def _differing_values(lead: str, mine: _Keys, theirs: _Keys) -> Iterable[str]:
    for key in dict.fromkeys((*mine.told, *theirs.told)):
        our_value, their_value = mine.values.get(key), theirs.values.get(key)
        if our_value != their_value:
            yield f"{lead}{key} {_value(our_value)} (baseline: {_value(their_value)})"


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
        shown_options = ", ".join(f"{key} {_value(value)}" for key, value in {**radius, **options}.items())
        methods.append(f"{method.method} ({shown_options})" if shown_options else str(method.method))
    return " and ".join(methods) or "none"
