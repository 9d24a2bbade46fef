"""xdist report: from the scores of runs, or of a study, to a page with the answer first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from xdist.cli.options import given_plugins


@click.command(name="report", short_help="One HTML page, tables and data from a study or from the scores of runs.")
@click.argument("places", nargs=-1, required=True, metavar="STUDY.yaml|RUN_FOLDER...")
@click.option("--against", metavar="BASELINE", help="What to compare with: a run folder, or a condition of the study.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: report; a study's: its folder]")
@click.option("--title", help="Heading of the page.")
@click.option("--tensorboard", is_flag=True, help="Also write figures and HParams for TensorBoard, into OUT/tensorboard.")
@given_plugins
def command(places: tuple[str, ...], against: str | None, out: Path | None, title: str | None, tensorboard: bool) -> None:
    """Write report.html, report.md, report.json and, for comparisons, tables/*.tex.

    Of a study (and overrides a.b=c, the same as for `xdist study run`): the differences of its conditions from its baseline by
    resource group, with 95 % intervals, before anything else. Of run folders: with --against the same, runs that differ in
    their seed alone being seeds of one condition; without it their scores side by side.

    \b
    Example:
      xdist report jobs/studies/demo.yaml
      xdist report runs/demo/target-multilingual-adversarial --against runs/demo/target-english-none --out runs/demo/compared
      xdist report runs/demo/intermediate-multilingual runs/demo/target-multilingual-adversarial --out runs/demo/both
    """
    first = Path(places[0])
    if first.suffix in (".yaml", ".yml") and _is_study(first):
        _study(first, places[1:], against, out, title, tensorboard)
    elif against is not None:
        from xdist.study.loose import run_results

        results = run_results([Path(place) for place in places], Path(against), title or "Conditions compared")
        _write(results, out or Path("report"), tensorboard)
    else:
        _runs([Path(place) for place in places], out or Path("report"), title or "Scores by language", tensorboard)


def _is_study(path: Path) -> bool:
    from xdist.config.loading import read_yaml

    return "stages" in read_yaml(path)[0]


def _study(
    path: Path, overrides: Sequence[str], against: str | None, out: Path | None, title: str | None, tensorboard: bool
) -> None:
    from dataclasses import replace

    from xdist.config import load_study
    from xdist.study import Facts, expand
    from xdist.study.results import study_results
    from xdist.study.state import standings

    study = load_study(path, overrides)
    facts = Facts(study.folder / "digests.json")
    graph = expand(study, facts)
    results = study_results(graph, standings(graph, facts), against)
    _write(replace(results, title=title or results.title), out or study.folder / "report", tensorboard)


def _write(results: Any, out: Path, tensorboard: bool) -> None:
    from xdist.report.study_report import write_study_report

    written = write_study_report(results, out, tensorboard)
    for sentence in written.found.sentences:
        click.echo(sentence)
    click.echo(f"report: {written.html}")


def _runs(runs: Sequence[Path], out: Path, title: str, tensorboard: bool) -> None:
    from rich.console import Console

    from xdist.errors import UserError
    from xdist.report import write_report
    from xdist.report.scores import read_scores
    from xdist.report.terminal import print_scores

    if tensorboard:
        raise UserError("--tensorboard needs something to compare: a study, or --against BASELINE")
    paths = write_report(runs, out, title=title)
    print_scores(read_scores(runs), Console())
    click.echo(f"report: {paths.html}")
