"""Run folders that belong to no study, as conditions: those that differ in their seed alone are seeds of one."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdist.config import recorded_run
from xdist.errors import UserError
from xdist.files import digest, read_json
from xdist.model.lineage import Lineage, PastTraining, read_lineage
from xdist.report.record import read_record
from xdist.report.results import Condition, Results, RunFacts
from xdist.run.folder import RunFolder, located
from xdist.run.sinks.json_lines import last_step
from xdist.study.results import Folders, task_results

SECTIONS = {"train", "robust"}


def run_results(places: Sequence[Path], against: Path, title: str) -> Results:
    """The results of these run folders (or run files), each condition compared with that of the run `against`. Raises UserError
    for what is no run with scores, and for two runs of one condition and seed that were scored on the same task."""
    runs = {
        folder: recorded_run(RunFolder(folder).config) for folder in dict.fromkeys(located(p).path for p in (against, *places))
    }
    baseline = located(against).path
    for folder in runs:
        if not RunFolder(folder).scores.is_file():
            raise UserError(f"{folder}: is no run folder with scores; a run has them once it has been evaluated")
    kinds = {folder: _kind(RunFolder(folder)) for folder in runs}
    names: dict[str, str] = {}
    for folder, run in runs.items():
        name = re.sub(r"[-_]s(eed)?\d+$", "", run.name)
        names.setdefault(kinds[folder], name if name not in names.values() else f"{name} ({folder})")
    folders = Folders()
    for folder, run in runs.items():
        folders.add((names[kinds[folder]], run.seed), folder)
    conditions = tuple(
        Condition(
            name,
            None if kind == kinds[baseline] else names[kinds[baseline]],
            {},
            tuple(dict.fromkeys(run.seed for folder, run in runs.items() if kinds[folder] == kind)),
            tuple(sorted({code for folder, run in runs.items() if kinds[folder] == kind for code in _seen(RunFolder(folder))})),
        )
        for kind, name in names.items()
    )
    facts = [
        RunFacts(
            run.name,
            "run",
            RunFolder(folder).state,
            RunFolder(folder).reason(),
            run.seed,
            last_step(RunFolder(folder).metrics),
            None,
            read_record(folder, run.name),
        )
        for folder, run in runs.items()
    ]
    tasks, left_out = task_results(folders, conditions)
    return Results(title, conditions, tasks, tuple(facts), left_out=left_out)


def _kind(folder: RunFolder) -> str:
    """What a run trains, from which model, and how it is scored, but for the seeds."""
    run = recorded_run(folder.config)
    before = [_anonymous(stage, number == 0) for number, stage in enumerate(_lineage(folder)[: -1 if run.train else None])]
    model = run.model.model_dump(mode="json", exclude={"backbone"} if before else set())
    sections = run.model_dump(mode="json", include=SECTIONS)
    entries = read_json(folder.scores)["tasks"].values()
    # What of its evaluation makes another system of the same model: the smoothing and, of a backbone as it came, the layer.
    layers = set() if run.train else {f"layer {entry['layer']}" for entry in entries if "layer" in entry}
    scored_by = sorted(layers | {digest(entry.get("smoothing")) for entry in entries})
    return digest(sections, run.data.max_length, model, before, scored_by)


def _lineage(folder: RunFolder) -> Lineage:
    """The trainings behind the model that a run was scored with."""
    run = recorded_run(folder.config)
    return read_lineage(str(folder.model) if run.train else run.model.backbone)


def _anonymous(stage: PastTraining, first: bool) -> dict[str, Any]:
    """A training without its seed and its name, and, but for the first one, the place of the model that it began with."""
    description = {key: value for key, value in stage.description.items() if key != "seed"}
    model = {key: value for key, value in description["model"].items() if first or key != "backbone"}
    return {**description, "model": model}


def _seen(folder: RunFolder) -> set[str]:
    return {code for stage in _lineage(folder) for entry in stage.tasks for code in entry.languages}
