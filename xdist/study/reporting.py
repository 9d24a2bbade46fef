"""A report on the named things: a study, run folders next to each other, or compared with one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xdist.config import load_study
from xdist.config.extra_rows import read_extra_rows
from xdist.config.loading import plain_yaml
from xdist.errors import UserError
from xdist.report import write_report, write_scores
from xdist.report.results import Results, as_scores
from xdist.report.scores import ScoreTable
from xdist.report.study_report import write_study_report
from xdist.study.expansion import expand
from xdist.study.facts import Facts
from xdist.study.loose import run_results
from xdist.study.results import study_results
from xdist.study.state import standings


@dataclass(frozen=True, slots=True)
class Reported:
    """What `report` wrote. `sentences`: the answer, where something was compared; `scores`: the table, where nothing was;
    `left_out`: a line on each run, or task of one, that is not in the report since it cannot be read."""

    html: Path
    sentences: tuple[str, ...] = ()
    scores: ScoreTable | None = None
    left_out: tuple[str, ...] = ()

    @property
    def markdown(self) -> Path:
        return self.html.with_suffix(".md")

    @property
    def json(self) -> Path:
        return self.html.with_suffix(".json")


def report_on(
    places: Sequence[str],
    out: Path | None,
    against: str | None,
    title: str | None,
    tensorboard: bool,
    extra: Path | None = None,
) -> Reported:
    """On a study (its YAML, then overrides) or on run folders, with the rows of the file `extra` in addition. Raises UserError
    for what is neither, has no scores or is not there to be compared with."""
    first = Path(places[0]) if places else Path()
    if first.suffix in (".yaml", ".yml") and "stages" in plain_yaml(first):
        return _on_study(first, places[1:], out, against, title, tensorboard, extra)
    folders, out = [Path(place) for place in places], out or Path("report")
    if against is not None:
        results = run_results(folders, Path(against), title or "Conditions compared")
        return write_results(_with_rows(results, extra), out, tensorboard)
    if tensorboard or extra:
        option = "--tensorboard" if tensorboard else "--extra"
        raise UserError(f"{option} needs something to compare: a study, or --against BASELINE")
    paths = write_report(folders, out, title=title or "Scores by language")
    return Reported(paths.html, scores=paths.scores, left_out=paths.scores.left_out)


def _on_study(
    path: Path,
    overrides: Sequence[str],
    out: Path | None,
    against: str | None,
    title: str | None,
    tensorboard: bool,
    extra: Path | None,
) -> Reported:
    study = load_study(path, overrides)
    facts = Facts(study.folder / "digests.json")
    graph = expand(study, facts)
    results = _with_rows(study_results(graph, standings(graph, facts), against), extra)
    return write_results(replace(results, title=title or results.title), out or study.folder / "report", tensorboard)


def _with_rows(results: Results, extra: Path | None) -> Results:
    if extra is None:
        return results
    return replace(results, extra=read_extra_rows(extra, {task.name: task.metric.headline for task in results.tasks}))


def write_results(results: Results, out: Path, tensorboard: bool = False) -> Reported:
    """The report on `results`: the answer first or, where there is one condition and nothing to compare, its scores. Raises
    UserError where nothing has scores yet."""
    if len(results.conditions) == 1 and any(task.scored for task in results.tasks) and not tensorboard and not results.extra:
        records = tuple(run.record for run in results.runs if run.state == "finished")
        seeds = len(results.conditions[0].seeds)
        asked = results.asked
        notes = [*([results.preliminary] if results.preliminary else []), *(asked.question if asked else ())]
        notes += [*([f"Each score is the mean over {seeds} seeds."] if seeds > 1 else []), *results.missing]
        scores = replace(as_scores(results), records=records)
        return Reported(write_scores(scores, out, notes, results.title).html, scores=scores, left_out=results.left_out)
    written = write_study_report(results, out, tensorboard)
    return Reported(written.html, tuple(written.found.sentences), left_out=results.left_out)
