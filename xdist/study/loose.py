"""Run folders that belong to no study, as conditions: those that differ in their seed alone are seeds of one."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.config import Run, recorded_run
from xdist.config.merge import with_places
from xdist.errors import UserError, one_line
from xdist.files import digest
from xdist.model.lineage import Lineage, PastTraining, read_lineage
from xdist.report.record import Record, read_record
from xdist.report.results import Condition, Results, RunFacts
from xdist.run.folder import RunFolder, locate_run_folder
from xdist.run.recorded import recorded_scores
from xdist.run.sinks.json_lines import last_step
from xdist.study.asked import describe_runs
from xdist.study.results import Folders, task_results

SECTIONS = {"train", "robust"}


@dataclass(frozen=True, slots=True)
class LooseRun:
    """A folder as it was read, once. `kind` distinguishes it from runs that differ by more than their seed; `seen`: languages
    that any of its trainings had."""

    folder: Path
    run: Run
    kind: str
    seen: frozenset[str]
    record: Record


def run_results(places: Sequence[Path], against: Path, title: str) -> Results:
    """The results of these run folders (or run files), each condition compared with that of the run `against`. A run that
    cannot be read or has no scores hides no other. Raises UserError where it is the one compared with, or none is left to
    compare with that, where no task was scored in both, and for two runs of one condition and seed that were scored on the same
    task."""
    baseline = _read(against)
    runs, wrong = {baseline.folder: baseline}, list[UserError]()
    for place in places:
        try:
            one = _read(place)
            runs.setdefault(one.folder, one)
        except UserError as error:
            wrong.append(error)
    if len(runs) == 1 and wrong:
        raise wrong[0]
    names = _names(runs.values())
    folders = Folders(wrong=[str(error) for error in wrong])
    for one in runs.values():
        folders.add((names[one.kind], one.run.seed), one.folder)
    conditions = tuple(
        _condition(name, None if kind == baseline.kind else names[baseline.kind], [o for o in runs.values() if o.kind == kind])
        for kind, name in names.items()
    )
    tasks, left_out = task_results(folders, conditions)
    ours = next(one.name for one in conditions if one.against is None)
    both = (task for task in tasks if {ours} < {name for name, _ in task.scores})
    if tasks and len(conditions) > 1 and not any(both):
        raise UserError(f"{', '.join(map(str, places))} and {against}: no task was scored in both")
    first = {name: next(one.run for one in runs.values() if one.kind == kind) for kind, name in names.items()}
    what_was_run = describe_runs(first, ours)
    return Results(title, conditions, tasks, tuple(map(_facts, runs.values())), left_out=left_out, asked=what_was_run)


def _names(runs: Iterable[LooseRun]) -> dict[str, str]:
    """By kind of run, what it is called: by its name, or where another kind has that too, by its folder's; without its seed."""
    first: dict[str, LooseRun] = {}
    for run in runs:
        first.setdefault(run.kind, run)
    ways: tuple[Callable[[LooseRun], str], ...] = (lambda run: run.run.name, lambda run: run.folder.name)
    for way in ways:
        names = {kind: re.sub(r"[-_]s(eed)?\d+$", "", way(run)) for kind, run in first.items()}
        if len(set(names.values())) == len(names):
            return names
    names = {}
    for kind, run in first.items():
        name = re.sub(r"[-_]s(eed)?\d+$", "", run.run.name)
        names[kind] = name if name not in names.values() else f"{name} ({run.folder})"
    return names


def _read(place: Path) -> LooseRun:
    folder = locate_run_folder(place)
    if not folder.scores.is_file():
        raise UserError(f"{folder.path}: is no run folder with scores; a run has them once it has been evaluated")
    run, seen = recorded_run(folder.config), frozenset(_seen(folder))
    return LooseRun(folder.path, run, kind_of(folder), seen, read_record(folder.path, run.name))


def _condition(name: str, against: str | None, runs: Sequence[LooseRun]) -> Condition:
    seeds = tuple(dict.fromkeys(run.run.seed for run in runs))
    return Condition(name, against, {}, seeds, tuple(sorted(frozenset().union(*(run.seen for run in runs)))))


def _facts(run: LooseRun) -> RunFacts:
    folder = RunFolder(run.folder)
    state, reason, step = folder.state, one_line(folder.reason()), last_step(folder.metrics)
    return RunFacts(run.run.name, "run", state, reason, run.run.seed, step, None, run.record)


def kind_of(folder: RunFolder) -> str:
    """What a run trains, from which model, and how it is scored, except for the seeds."""
    run = recorded_run(folder.config)
    before = [_anonymous(stage, number == 0) for number, stage in enumerate(_lineage(folder)[: -1 if run.train else None])]
    model = run.model.model_dump(mode="json", exclude={"pretraining", *(["backbone"] if before else [])})
    sections = run.model_dump(mode="json", include=SECTIONS)
    if run.merge:  # the paths of its models are no part of what it is: what they were trained on is in `before`
        sections["merge"] = with_places(run.merge, lambda place: "").model_dump(mode="json")
    entries = recorded_scores(folder.scores)["tasks"].values()
    # What of its evaluation makes another system of the same model: the smoothing and, of a backbone unchanged, the layer.
    layers = set() if run.train else {f"layer {entry['layer']}" for entry in entries if "layer" in entry}
    scored_by = sorted(layers | {digest(entry.get("smoothing")) for entry in entries})
    words: list[str] = [run.data.words] if run.data.words != "joined" else []
    words += [f"block {run.data.block}"] if run.data.block != 1 else []
    return digest(sections, run.data.max_length, model, before, scored_by, *words)


def _lineage(folder: RunFolder) -> Lineage:
    """The trainings behind the model that a run was scored with."""
    run = recorded_run(folder.config)
    return read_lineage(str(folder.model) if run.makes_model else run.model.backbone)


def _anonymous(stage: PastTraining, first: bool) -> dict[str, Any]:
    """A training without its seed and its name, and, except for the first one, the place of the model that it began with."""
    description = {key: value for key, value in stage.description.items() if key != "seed"}
    model = {key: value for key, value in description["model"].items() if key != "pretraining" and (first or key != "backbone")}
    return {**description, "model": model}


def _seen(folder: RunFolder) -> set[str]:
    return {code for stage in _lineage(folder) for entry in stage.tasks for code in entry.languages}
