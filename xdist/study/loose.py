"""Run folders that belong to no study, as conditions: those that differ in their seed alone are seeds of one."""

import re
from collections.abc import Sequence
from pathlib import Path

from xdist.config import Run, recorded_run
from xdist.errors import UserError
from xdist.files import digest, read_json
from xdist.report.record import read_record
from xdist.report.results import Condition, Results, RunFacts
from xdist.runtime.run_folder import RunFolder, located
from xdist.runtime.sinks.json_lines import last_step
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
    kinds = {folder: digest(_kind(run), _scored_by(folder, run)) for folder, run in runs.items()}
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
            tuple(sorted({code for folder, run in runs.items() if kinds[folder] == kind for code in _seen(run)})),
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


def _before(run: Run) -> Run | None:
    """The run whose model this one begins with, where its folder is there."""
    config = RunFolder(Path(run.model.backbone).parent).config
    return recorded_run(config) if Path(run.model.backbone).name == "model" and config.is_file() else None


def _kind(run: Run) -> str:
    """What a run trains, and from which model, but for the seeds."""
    before = _before(run)
    model = run.model.model_dump(mode="json", exclude={"backbone"} if before else set())
    sections = run.model_dump(mode="json", include=SECTIONS)
    return digest(sections, run.data.max_length, model, _kind(before) if before else "")


def _scored_by(folder: Path, run: Run) -> list[str]:
    """What of its evaluation makes another system of the same model: the smoothing and, of a backbone as it came, the layer."""
    entries = read_json(RunFolder(folder).scores)["tasks"].values()
    layers = set() if run.train else {f"layer {entry['layer']}" for entry in entries if "layer" in entry}
    return sorted(layers | {digest(entry.get("smoothing")) for entry in entries})


def _seen(run: Run) -> set[str]:
    before = _before(run)
    here = {code for entry in (run.train.tasks if run.train else ()) for code in entry.languages}
    return here | (_seen(before) if before else set())
