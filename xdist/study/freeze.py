"""What a study is to find out, written down before its first run: its digest, hypotheses and planned tests.

`frozen.json` in the study's folder keeps them with all that the digest is of, so that a report can say whether what it shows is
what was planned, and if not, in which key it differs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from xdist.config.differing import leaves
from xdist.config.merge import with_places
from xdist.errors import UserError
from xdist.files import digest, write_json
from xdist.report.answer import headline_groups
from xdist.report.comparison import DIAGONAL, LEVEL, OFF_DIAGONAL
from xdist.run.folder import RunFolder
from xdist.run.recorded import DamagedError, recorded_json
from xdist.study.conditions import conditions_of
from xdist.study.expansion import Graph, Node
from xdist.version import __version__

FILE = "frozen.json"
SECTIONS = {"model", "data", "train", "robust", "merge", "align", "evaluate", "seed"}
# Paths of files are no part of the question; what an encoder has read groups languages and is.
PLACES = {"data": {"root", "cache"}}
# What of a study is in its runs and conditions already, says where they are, or forecasts what it could show.
ELSEWHERE = {"name", "folder", "needs", "stages", "axes", "seeds", "all", "include", "exclude", "baseline", "power"}


class _Test(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    group: str
    condition: str
    against: str


class _File(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    digest: str
    written: str
    described: dict[str, Any]
    hypotheses: list[str]
    tests: list[_Test]
    question: list[str] = []


_FILE = TypeAdapter(_File)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Whether a study was frozen before its first run and is what was frozen; `said` is a sentence on it. `content` is that of
    the file, empty where there is none."""

    before: bool
    said: str
    content: Mapping[str, Any]

    @property
    def question(self) -> tuple[str, ...]:
        """What was asked then, where the study is still what was frozen: a comment may change once the answer is known."""
        return tuple(self.content.get("question", ())) if self.before else ()


def describe_study(graph: Graph) -> dict[str, Any]:
    """All that decides what a study finds out, as plain values: its conditions, its runs without their places, and the other
    keys of the study that are given. Keys left at their defaults are not among them, so new ones change nothing."""
    conditions, _, _ = conditions_of(graph)
    description = graph.study.model_dump(mode="json", exclude_defaults=True, exclude=ELSEWHERE)
    learns = {
        name: stage.learns.model_dump(mode="json", exclude_none=True)
        for name, stage in graph.study.stages.items()
        if stage.learns is not None
    }
    return {
        "conditions": {condition.name: condition.against for condition in conditions},
        "seeds": list(graph.study.seeds),
        "runs": {node.run.name: _sections(graph, node) for node in graph.nodes.values()},
        **({"learns": learns} if learns else {}),
        **description,
    }


def digest_of(description: Mapping[str, Any]) -> str:
    """16 digits of what `describe_study` gives."""
    return digest(dict(description))


def planned_tests(graph: Graph) -> list[dict[str, str]]:
    """The comparisons that a report's sentences speak of: a group of languages (or pairs), a condition, and its baseline."""
    conditions, _, _ = conditions_of(graph)
    last = graph.nodes[graph.points[0].last]
    first = last
    while first.upstream:
        first = graph.nodes[first.upstream]
    tasks = last.resolved.subsets.evaluation_named
    of_pairs = bool(tasks) and all(subset.task.pairs_of for subset in tasks)
    groups = (OFF_DIAGONAL, DIAGONAL) if of_pairs else headline_groups(first.resolved.pretraining)
    return [
        {"group": group, "condition": condition.name, "against": condition.against}
        for group in groups
        for condition in conditions
        if condition.against is not None
    ]


def plan_of(graph: Graph) -> dict[str, Any]:
    """What is written down, except for the time. Hypotheses that the study does not name are that a condition differs from its
    baseline, in either direction."""
    description, tests = describe_study(graph), planned_tests(graph)
    expected = [f"On {test['group']}: “{test['condition']}” differs from “{test['against']}”." for test in tests]
    return {
        "study": graph.study.name,
        "digest": digest_of(description),
        "question": list(graph.study.question),
        "hypotheses": list(graph.study.hypotheses) or expected,
        "tests": tests,
        "correction": f"two-sided, p corrected after Holm for all of them together, level {LEVEL}",
        "xdist": __version__,
        "described": description,
    }


def freeze(graph: Graph) -> tuple[Path, dict[str, Any]]:
    """Write frozen.json into the study's folder. Raises UserError where a run has started, and where another plan is frozen."""
    path, plan = graph.study.folder / FILE, plan_of(graph)
    if path.exists():
        earlier = _read_frozen(path)
        if earlier["digest"] == plan["digest"]:
            return path, earlier
        changed = next(_changes(earlier["described"], plan["described"]), "another key")
        raise UserError(f"{path}: is frozen already, since {earlier['written']}, as another study: {changed}")
    if begun := [name for name, _ in started_runs(graph)]:
        raise UserError(f"{graph.study.folder}: {begun[0]} has started; a study is frozen before its first run")
    content = {"written": datetime.now(UTC).isoformat(timespec="seconds"), **plan}
    write_json(path, content)
    return path, content


def check_frozen(graph: Graph) -> Freeze:
    """Whether the present study is what was frozen before the first run. A damaged file counts as none, and is reported."""
    path, lead = graph.study.folder / FILE, "Frozen before the first run:"
    if not path.exists():
        return Freeze(False, f"{lead} no.", {})
    try:
        content = _read_frozen(path)
    except DamagedError as error:
        return Freeze(False, f"{lead} no; {error}.", {})
    written = datetime.fromisoformat(content["written"])
    on = f"{written:%Y-%m-%d %H:%M} UTC, digest {content['digest']}"
    if earlier := [name for name, begun in started_runs(graph) if begun < written]:
        return Freeze(False, f"{lead} no; {earlier[0]} began before {on}.", content)
    now = describe_study(graph)
    if digest_of(content["described"]) != content["digest"]:
        return Freeze(False, f"{lead} no; {path} was changed by hand.", content)
    if digest_of(now) != content["digest"]:
        changed = next(_changes(content["described"], now), "what its runs are")
        return Freeze(False, f"{lead} no; the study was changed since {on}: {changed}.", content)
    return Freeze(True, f"{lead} yes, {on}.", content)


def started_runs(graph: Graph) -> list[tuple[str, datetime]]:
    """Runs in the study's folder that have started, of this description or an earlier one, and when at the latest."""
    runs = []
    for folder in sorted((graph.study.folder / "runs").glob("*")):
        config = RunFolder(folder).config
        if config.is_file():
            runs.append((folder.name, datetime.fromtimestamp(config.stat().st_mtime, UTC)))
    return runs


def _sections(graph: Graph, node: Node) -> dict[str, Any]:
    """What a run is; a model that another run of the study makes is called by that run's name."""
    run = node.run
    names = {str(graph.nodes[key].run.folder / "model"): graph.nodes[key].run.name for key in node.before}
    sections = run.model_dump(mode="json", exclude_defaults=True, include=SECTIONS, exclude=PLACES)
    backbone = run.model.backbone
    sections["model"] = {**sections.get("model", {}), "backbone": names.get(backbone, backbone)}
    if run.merge:
        merge = with_places(run.merge, lambda place: names.get(place, place))
        sections["merge"] = merge.model_dump(mode="json", exclude_defaults=True)
    return {**sections, "methods": [method.method for method in run.methods], "plugins": run.plugin_digests}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The keys that differ, each with both values."""
    old_values, new_values = dict(leaves(before)), dict(leaves(now))
    for key in dict.fromkeys((*old_values, *new_values)):
        if old_values.get(key) != new_values.get(key):
            yield f"{key} was {old_values.get(key, 'missing')}, is {new_values.get(key, 'missing')}"


def _read_frozen(path: Path) -> dict[str, Any]:
    return recorded_json(path, _FILE).model_dump()
