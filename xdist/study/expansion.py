"""From a study to the graph of its runs: a pure function of the description and of the digests of the files that it names.

A run's key is a digest of everything that determines what it trains: model, training, robust section, seed, the data's content,
and the key of the run whose model it begins with, or the content of its backbone. Runs of equal key are one run. The key names
the folder, so a run whose key is the same is never done twice, and one whose key is another never taken for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from xdist.config import Run, Study, Train
from xdist.config.run import LONGEST_NAME
from xdist.config.runtime import KeepFinished, Runtime
from xdist.data.adapters import folders_in
from xdist.data.subset import Subset
from xdist.errors import UserError, cut
from xdist.files import digest
from xdist.metrics import METRICS
from xdist.plugins import digest_in
from xdist.resolve.encoder import Encoder, revision_of
from xdist.resolve.resolved import Resolved
from xdist.resolve.trees import parses_of
from xdist.study.changes import Descriptions
from xdist.study.estimate import updates
from xdist.study.facts import Facts
from xdist.study.of_stages import language_adapters, merged_models, with_teachers
from xdist.tasks.catalog import TASKS
from xdist.tasks.catalog.building import DEFAULT_METRICS

# Raised whenever the same description and the same files would train to another result.
RESULTS = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One combination: a value of every axis, and a seed. `last` is the key of its last run, whose scores are its result."""

    values: Mapping[str, str]
    seed: int
    stages: Mapping[str, str]

    @property
    def last(self) -> str:
        return list(self.stages.values())[-1]


@dataclass(frozen=True, slots=True)
class Node:
    """A run of the graph. `upstream` is the key of the run whose model it begins with, `merged` those of the runs whose models
    are merged with it, teach it or are its language adapters; `points` the numbers of the combinations that need it."""

    key: str
    stage: str
    resolved: Resolved
    upstream: str | None
    points: tuple[int, ...]
    merged: tuple[str, ...] = ()

    @property
    def before(self) -> tuple[str, ...]:
        """The keys of the runs that it waits for."""
        return tuple(dict.fromkeys((*([self.upstream] if self.upstream else []), *self.merged)))

    @property
    def run(self) -> Run:
        return self.resolved.run

    @property
    def work(self) -> Literal["train", "evaluate"]:
        return "train" if self.run.train else "evaluate"

    @property
    def updates(self) -> int | None:
        """Optimizer steps, None where they are not known yet."""
        return updates(self.run.train, self.run.data, self.resolved.subsets.training)


@dataclass(frozen=True, slots=True)
class Graph:
    """`nodes` by key, each after its upstream."""

    study: Study
    nodes: Mapping[str, Node]
    points: tuple[Point, ...]

    @property
    def asked(self) -> int:
        """Runs that there would be if none were shared."""
        return sum(len(point.stages) for point in self.points)

    def yaml_of(self, node: Node) -> Path:
        """Where the run's own YAML is in the study's folder."""
        return self.study.folder / "descriptions" / f"{node.run.folder.name}.yaml"

    def to_come(self, node: Node) -> bool:
        """Whether a run before `node` is still to leave a model that it begins with."""
        return any(not (self.nodes[key].run.folder / "model").is_dir() for key in node.before)

    def beginning(self, node: Node) -> Encoder | None:
        """What is known of the encoder that is to come, with the heads that the run before `node` trains. Raises UserError."""
        if node.upstream is None or Path(node.run.model.backbone).is_dir():
            return None
        before = self.nodes[node.upstream]
        encoder = self.beginning(before) if self.to_come(before) else before.resolved.encoder
        if before.run.train is None:
            return encoder
        heads = {name: (tasks[0].family, tasks[0].labels) for name, tasks in before.resolved.heads.items()}
        return encoder and replace(encoder, heads=heads)

    @property
    def needed(self) -> set[str]:
        """The model folders that any run begins with, merges or learns from."""
        return _needed(node.run for node in self.nodes.values())

    def is_needed(self, key: str) -> bool:
        """Whether another run waits for the model of `key`."""
        return any(key in (node.upstream, *node.merged) for node in self.nodes.values())

    def after(self, key: str | None) -> list[Node]:
        """The runs that begin with the model of `key`; with None those that begin with their own backbone."""
        return [node for node in self.nodes.values() if node.upstream == key]


def expand(study: Study, facts: Facts) -> Graph:
    """The graph of `study`. Raises UserError for the first run that is not valid, at the line that makes it so."""
    descriptions = Descriptions(study)
    runs_by_key: dict[str, tuple[str, Resolved, str | None, list[int], tuple[str, ...]]] = {}
    points: list[Point] = []
    for seed in study.seeds:
        for values in combinations(study):
            stages: dict[str, str] = {}
            for stage in study.stages:
                run = descriptions.run(stage, values, seed)
                if run is None:
                    continue
                upstream, backbone = _beginning(study, descriptions, stage, values, seed, stages, run.model.backbone)
                if upstream and not runs_by_key[upstream][1].run.makes_model:
                    raise run.error(
                        ("model", "backbone"), f"'{runs_by_key[upstream][0]}' is evaluated, it trains no model to begin with"
                    )
                merge, merged = merged_models(study, run.merge, stages, runs_by_key, run.error) if run.merge else (None, ())
                train, teacher = with_teachers(study, run.train, stages, runs_by_key) if run.train else (None, ())
                merged += teacher
                adapter, spoken = language_adapters(study, run.model.adapter, stages, runs_by_key, run.error)
                key = identity(facts.resolved(run), upstream or facts.backbone(backbone), facts, merged, spoken)
                merged = (*merged, *spoken.values())
                if key not in runs_by_key:
                    if upstream:
                        backbone = str(runs_by_key[upstream][1].run.folder / "model")
                    model = run.model.model_copy(update={"backbone": backbone, "adapter": adapter})
                    where = {"folder": study.folder / "runs" / f"{stage}-{key}", "model": model, "merge": merge, "train": train}
                    placed = run.model_copy(update=where)
                    runs_by_key[key] = (stage, facts.resolved(placed), upstream, [], merged)
                elif (runs_by_key[key][1].run.evaluate, runs_by_key[key][1].run.align) != (run.evaluate, run.align):
                    raise run.error(
                        ("evaluate",),
                        f"another '{stage}' trains the same and is scored differently; score both in the same way",
                    )
                runs_by_key[key][3].append(len(points))
                stages[stage] = key
            if stages:
                points.append(Point(values, seed, stages))
    if not points:
        raise UserError(f"{study.at(())}: no combination is left to run")
    nodes = {}
    needed = _needed(one[1].run for one in runs_by_key.values())
    for key, (stage, resolved, upstream, numbers, merged) in runs_by_key.items():
        name = _name(study, stage, [points[number] for number in numbers])
        if len(name) > LONGEST_NAME:
            raise UserError(f"{study.at(('axes',))}: '{cut(name)}' names a run and is longer than {LONGEST_NAME} characters")
        runtime = _leaving(resolved.run.runtime, study.keep, str(resolved.run.folder / "model") in needed)
        named = replace(resolved, run=resolved.run.model_copy(update={"name": name, "runtime": runtime}))
        nodes[key] = Node(key, stage, named, upstream, tuple(numbers), merged)
    return Graph(study, nodes, tuple(points))


def combinations(study: Study) -> Iterator[dict[str, str]]:
    """The values of all axes, those of the last axis changing fastest, without what `include` and `exclude` leave out."""
    for values in product(*study.axes.values()):
        point = dict(zip(study.axes, values, strict=True))
        if study.include and not any(_fits(point, pattern) for pattern in study.include):
            continue
        if not any(_fits(point, pattern) for pattern in study.exclude):
            yield point


def identity(
    resolved: Resolved,
    beginning: str,
    facts: Facts,
    merged: tuple[str, ...] = (),
    spoken: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """16 digits that depend on what a run trains, from which model and on which data; for a run that trains nothing, on what
    it evaluates. `merged`: the keys of the runs whose models it merges or learns from; `spoken`: by language, of those that
    trained its language adapters. A key that is left at its default does not enter, so a new one does not make old results
    stale."""
    run = resolved.run
    sections: dict[str, Any] = run.model_dump(mode="json", exclude_defaults=True)
    for key in ("backbone", "pretraining"):  # the second changes reports alone
        sections.get("model", {}).pop(key, None)
    if run.model.adapter:  # its folders by what they hold
        for key in ("folder", "languages"):
            sections["model"]["adapter"].pop(key, None)
        adapters = {".".join(key): facts.backbone(place) for key, place in folders_in(run.model.adapter)}
        sections["model"] |= {"holds": {**adapters, **spoken}}
    if run.model.syntax and not run.model.syntax.read:  # plain
        sections["model"].pop("syntax")
    elif run.model.syntax:  # its files by what they hold
        sections["model"]["syntax"].pop("parses")
    # Nothing for kinds that never changed, so that their results stay.
    revision = revision_of(resolved.model.backbone)
    common = (RESULTS, beginning, sections.get("model"), *([revision] if revision else []))
    if run.train is None:
        drawn = (run.seed,) if run.evaluate and run.evaluate.smoothing else ()  # nothing else is drawn
        words = [run.data.words] if run.data.words != "joined" else []
        if run.merge:
            elsewhere = [facts.backbone(model.model) for model in run.merge.models if model.model and model.stage is None]
            elsewhere += [facts.backbone(run.merge.minus)] if run.merge.minus else []
            weights = [
                (model.stage is not None, weight) for model, weight in zip(run.merge.models, run.merge.weights, strict=True)
            ]
            layers = run.merge.layers and run.merge.layers.model_dump()
            common = (*common, "merge", merged, elsewhere, weights, layers)
        if run.align:
            fitted = [facts.subset(run.data, subset) for subset in resolved.subsets.aligned]
            common = (*common, "align", resolved.align, fitted)
        return digest(*common, "evaluate", sections["evaluate"], run.data.max_length, *drawn, *words)
    robust = [
        # A method's name is a default of its section too.
        {**method.in_first_words(method.model_dump(mode="json", exclude_defaults=True)), "method": method.method}
        for method in run.methods
    ]
    data = [facts.subset(run.data, subset) for subset in resolved.subsets.trained]
    data += _chosen_by(run.train, resolved.subsets.selection)
    read = [facts.file(path) for path in (*run.method_files, *resolved.word_files.values())]
    others_digests: list[Any] = [run.plugin_digests] if run.plugins else []
    others_digests += [facts.backbone(place) for place in resolved.teacher_places]
    others_digests += [merged] if merged else []  # the teacher's
    others_digests += (
        [parses_of(run.model.syntax, resolved.subsets.trained)] if run.model.syntax and run.model.syntax.read else []
    )
    others_digests += [{"block": run.data.block}] if run.data.block != 1 else []
    return digest(*common, "train", sections["train"], robust, run.seed, data, read, *others_digests)


def _chosen_by(train: Train, subsets: Iterable[Subset]) -> list[str]:
    """What a model is chosen by on your own tasks that name a metric; that of the others never changes."""
    if not (train.select and train.select.by == "score"):
        return []
    tasks = dict.fromkeys(subset.task for subset in subsets if subset.task.name not in TASKS.ours())
    return [f"{task.name} by {_with_code(task.metric)}" for task in tasks if task.metric != DEFAULT_METRICS.get(task.family)]


def _with_code(metric: str) -> str:
    """The name of a metric, of one that a plugin provides with the digest of its code."""
    plugin = METRICS.plugin(metric)
    return f"{metric}@{digest_in(plugin)}" if plugin else metric


def _beginning(
    study: Study,
    descriptions: Descriptions,
    stage: str,
    values: Mapping[str, str],
    seed: int,
    stages: Mapping[str, str],
    backbone: str,
) -> tuple[str | None, str]:
    """(key of the nearest earlier run of the chain, or None; else the backbone): a stage that is left out passes on its own."""
    before = study.stages[stage].after
    while before is not None:
        if before in stages:
            return stages[before], backbone
        skipped = descriptions.run(before, values, seed, force=True)
        backbone = skipped.model.backbone if skipped else backbone
        before = study.stages[before].after
    return None, backbone


def _fits(point: Mapping[str, str], pattern: Mapping[str, Any]) -> bool:
    return all(point[axis] in (wanted if isinstance(wanted, list | tuple) else [wanted]) for axis, wanted in pattern.items())


def _needed(runs: Iterable[Run]) -> set[str]:
    """The model folders that any of `runs` begins with, merges or learns from."""
    places: set[str] = set()
    for run in runs:
        places |= {run.model.backbone, *(one.model or "" for one in (run.merge.models if run.merge else ()))}
        if run.train and run.train.distil:
            places |= {run.train.distil.teacher or "", *(one.model or "" for one in run.train.distil.languages.values())}
    return places


def _leaving(runtime: Runtime, keep: KeepFinished, needed: bool) -> Runtime:
    """`runtime` with what is to stay of its run, whose model other runs may need: as it says itself, else `keep`."""
    own = runtime.keep_finished if "keep_finished" in runtime.model_fields_set else keep
    return runtime.model_copy(update={"keep_finished": "model" if own == "scores" and needed else own})


def _name(study: Study, stage: str, points: list[Point]) -> str:
    """The stage and the values that all combinations with this run have in common: 'target-english-adversarial-s1'."""
    shared = [{point.values[axis] for point in points} for axis in study.axes]
    seeds = {point.seed for point in points}
    parts = [stage, *(next(iter(values)) for values in shared if len(values) == 1)]
    return "-".join([*parts, *([f"s{next(iter(seeds))}"] if len(seeds) == 1 else [])])
