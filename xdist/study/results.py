"""From finished runs to what a report is made from: conditions, scores, and each score under the same draws of examples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.evaluation.guesses import guess_languages
from xdist.evaluation.per_example import Gold, Scored, scored_tasks
from xdist.languages import Pretraining
from xdist.metrics.counts import CountRows
from xdist.metrics.pooled import replicate
from xdist.report.measured import Measured
from xdist.report.record import Record, read_record
from xdist.report.results import Condition, Results, RunFacts, System, TaskResult
from xdist.run.folder import RunFolder
from xdist.run.recorded import recorded_scores, unless_damaged
from xdist.study.asked import describe_study_runs
from xdist.study.conditions import conditions_of
from xdist.study.costs import said_cost
from xdist.study.expansion import Graph, Node, Point
from xdist.study.learnt import checks, not_learnt
from xdist.study.published import published_figures
from xdist.study.state import Standing
from xdist.tasks.collapse import describe_collapse


@dataclass(slots=True)
class Folders:
    """The run folders of each task's scores, by (condition, seed). `read`: what their encoders have read, where a
    description of today says it. `wrong`: a line on each that cannot be read."""

    of_task: dict[str, dict[System, Path]] = field(default_factory=dict)
    read: dict[Path, Pretraining] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, system: System, folder: Path) -> None:
        """Raises UserError where another folder has scores of the same."""
        scores = RunFolder(folder).scores
        if not scores.exists():
            return
        nothing: dict[str, Any] = {"tasks": {}}
        for name in unless_damaged(lambda: recorded_scores(scores), nothing, self.wrong)["tasks"]:
            there = self.of_task.setdefault(name, {}).setdefault(system, folder)
            if there != folder:
                raise UserError(f"{folder} and {there}: both have scores of {name} for {system[0]}, seed {system[1]}")


def study_results(graph: Graph, standings: Mapping[str, Standing], against: str | None = None) -> Results:
    """The results of a study as far as it has come. `against` names another baseline than the study's. Raises UserError where
    predictions and gold do not fit."""
    conditions, of_point, notes = conditions_of(graph, against)
    folders = Folders()
    for number, point in enumerate(graph.points):
        if number in of_point and standings[point.last].state == "finished":
            node = graph.nodes[point.last]
            folders.add((of_point[number], point.seed), node.run.folder)
            if node.run.model.pretraining is not None:
                folders.read[node.run.folder] = node.resolved.pretraining
    runs = [_facts(node, standings[key], folders.wrong) for key, node in graph.nodes.items()]
    conditions = _with_costs(graph, conditions, of_point, dict(zip(graph.nodes, (run.record for run in runs), strict=True)))
    tasks, left_out = task_results(folders, conditions)
    what_was_run = describe_study_runs(graph, conditions, standings)
    missed = _not_learnt(graph, of_point)
    figures = published_figures(graph, conditions) if against is None else ()
    about = (graph.study.name, conditions, tasks, tuple(runs), notes, left_out, what_was_run)
    return Results(*about, not_learnt=missed, published=figures)


def _with_costs(
    graph: Graph, conditions: Iterable[Condition], of_point: Mapping[int, str], records: Mapping[str, Record]
) -> tuple[Condition, ...]:
    points: dict[str, list[Point]] = {}
    for number, name in of_point.items():
        points.setdefault(name, []).append(graph.points[number])
    return tuple(replace(condition, cost=said_cost(graph, points.get(condition.name, []), records)) for condition in conditions)


def _not_learnt(graph: Graph, of_point: Mapping[int, str]) -> dict[str, str]:
    """By condition how many of its runs did not reach what their stage asks, and by how much the first."""
    runs: dict[str, dict[str, None]] = {}
    for number, point in enumerate(graph.points):
        if number in of_point:
            runs.setdefault(of_point[number], {}).update(dict.fromkeys(point.stages.values()))
    missed = {key: lines for key, node in graph.nodes.items() if (lines := not_learnt(checks(graph, node)))}
    found = {}
    for name, keys in runs.items():
        if short := [key for key in keys if key in missed]:
            of_stage = [key for key in keys if graph.nodes[key].stage == graph.nodes[short[0]].stage]
            count = sum(key in missed for key in of_stage)
            found[name] = f"{count} of {len(of_stage)} runs of {graph.nodes[short[0]].stage} ended at {missed[short[0]][0]}"
    return found


def task_results(folders: Folders, conditions: Iterable[Condition]) -> tuple[tuple[TaskResult, ...], tuple[str, ...]]:
    """The tasks, and a line on each that is left out since it or its metric is not installed here, and on each run that cannot
    be read. One task after another, so that the examples of one alone are held."""
    order = {one.name: number for number, one in enumerate(conditions)}
    results, left_out = [], list(folders.wrong)
    for name, of_system in folders.of_task.items():
        systems = dict(sorted(of_system.items(), key=lambda item: (order[item[0][0]], item[0][1])))
        gold = Gold()
        by_folder: dict[Path, tuple[dict[str, Any], Scored]] = {}
        wrong: list[UserError] = []
        for folder in dict.fromkeys(systems.values()):
            entry = recorded_scores(RunFolder(folder).scores)["tasks"][name]
            try:
                by_folder[folder] = entry, scored_tasks(folder, gold, name)[name]
            except UserError as error:  # predictions that are damaged, say: one run hides no other
                wrong.append(error)
        if not by_folder:
            raise wrong[0]
        left_out += map(str, wrong)
        systems = {system: folder for system, folder in systems.items() if folder in by_folder}
        first = next(iter(by_folder.values()))[1]
        for folder, (_, one) in by_folder.items():
            if one.split != first.split:
                raise UserError(f"{folder}: {name} was scored on '{one.split}', elsewhere on '{first.split}'")
            if one.scored_by != first.scored_by:
                raise UserError(f"{folder}: {name} was scored by '{one.scored_by}', elsewhere by '{first.scored_by}'")
        if first.absent:
            left_out.append(f"{name} is skipped: {first.absent}")
            continue
        rows: dict[Any, Mapping[str, CountRows]] = {system: by_folder[folder][1].rows for system, folder in systems.items()}
        try:
            replicated = replicate(rows, first.metric, first.sentences)
        except ValueError as error:
            raise UserError(f"{name}: {error}: {', '.join(map(str, by_folder))}") from None
        trained = {
            code: None for entry, _ in by_folder.values() for code in (*entry["trained_on"], *entry.get("selected_on", ()))
        }
        scores = {system: by_folder[folder][0]["languages"] for system, folder in systems.items()}
        alike = [
            f"{condition}, seed {seed}: {line}"
            for (condition, seed), folder in systems.items()
            for line in describe_collapse(name, by_folder[folder][0])
        ]
        about = (name, first.family, first.metric, first.split, tuple(trained))
        read = {condition: folders.read.get(folder, by_folder[folder][1].read) for (condition, _), folder in systems.items()}
        measured = {
            condition: {code: Measured.of(counts) for code, counts in by_folder[folder][0].get("measured", {}).items()}
            for (condition, _), folder in systems.items()
        }
        since = {condition: by_folder[folder][1].read_since for (condition, _), folder in systems.items()}
        guessed = guess_languages(next(iter(by_folder)), gold, name, first.split, replicated.languages, first.scored_by)
        results.append(TaskResult(*about, scores, replicated, tuple(alike), read, measured, since, guessed))
    return tuple(results), tuple(left_out)


def _facts(node: Node, now: Standing, wrong: list[str]) -> RunFacts:
    run = node.run
    record = unless_damaged(lambda: read_record(run.folder, run.name), Record(run.name, "", {}, {}), wrong)
    return RunFacts(run.name, node.stage, now.state, now.reason, run.seed, now.step, now.steps, record)
