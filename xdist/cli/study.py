"""xdist study: many runs from one description, each done once."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def study_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """STUDY.yaml and any number of overrides a.b=c."""
    function = click.argument("overrides", nargs=-1, metavar="[a.b=c]...")(function)
    return click.argument("path", metavar="STUDY.yaml", type=click.Path(path_type=Path))(function)


@click.group(name="study", short_help="A graph of runs from one description: plan, run, status.")
def command() -> None:
    """Plan and run a study: stages, axes along which they differ, seeds.

    \b
    Example:
      xdist study plan jobs/studies/demo.yaml
      xdist study run jobs/studies/xtreme-r.yaml all.data.root=download
    """


@command.command(short_help="Show the runs as a tree, what is shared, what they cost; start nothing.")
@study_arguments
def plan(path: Path, overrides: tuple[str, ...]) -> None:
    """Show the graph of runs: which begin with which, how many combinations share one, updates and tokens of each.

    \b
    Example:
      xdist study plan jobs/studies/demo.yaml 'seeds=[1]'
    """
    from rich.console import Console

    from xdist.study.show import print_plan

    graph, facts, found = _standings(path, overrides)
    print_plan(graph, found, facts, Console())


@command.command(short_help="Do every run that is not done, one after another, on this machine.")
@study_arguments
def run(path: Path, overrides: tuple[str, ...]) -> None:
    """Do every run that is not done. Started again, it goes on where it stopped, and tries again what failed.

    A run that fails does not stop those that do not need it. At the end the study's report is written into its folder, and its
    answer printed. Exit codes: 0 all finished, 75 stopped and saved (start it again),
    1 some failed, 2 your mistake.

    \b
    Example:
      xdist study run jobs/studies/demo.yaml
    """
    from rich.console import Console

    from xdist.config import load_study
    from xdist.study import expand
    from xdist.study.running import STOPPED, run_study
    from xdist.study.show import print_standings
    from xdist.study.state import standings

    study = load_study(path, overrides)
    if "demo" in study.needs:
        _make_demo(study.needs["demo"])
    facts = _facts(study.folder)
    graph = expand(study, facts)
    facts.remember()
    code = run_study(graph, facts)
    facts.remember()
    found = standings(graph, facts)
    print_standings(graph, found, Console())
    if code != STOPPED:
        _report(graph, found)
    if code == STOPPED:
        click.echo(f"stopped; start it again to go on: xdist study run {path}", err=True)
    sys.exit(code)


@command.command(short_help="A table of where each run stands.")
@study_arguments
def status(path: Path, overrides: tuple[str, ...]) -> None:
    """Show where each run stands, its step, and why what failed did. While the study runs, too.

    \b
    Example:
      xdist study status jobs/studies/demo.yaml
    """
    from rich.console import Console

    from xdist.study.show import print_standings

    graph, _, found = _standings(path, overrides)
    print_standings(graph, found, Console())


def _report(graph: Any, found: Any) -> None:
    """Write the study's report and say its answer; say why not, where nothing has scores: the runs are what was asked for."""
    from xdist.errors import UserError
    from xdist.report.study_report import write_study_report
    from xdist.study.results import study_results

    try:
        written = write_study_report(study_results(graph, found), graph.study.folder / "report")
    except UserError as error:
        click.echo(f"no report: {error}", err=True)
        return
    for sentence in written.found.sentences:
        click.echo(sentence)
    click.echo(f"report: {written.html}")


def _standings(path: Path, overrides: tuple[str, ...]) -> Any:
    from xdist.config import load_study
    from xdist.study import expand
    from xdist.study.state import standings

    study = load_study(path, overrides)
    facts = _facts(study.folder)
    graph = expand(study, facts)
    return graph, facts, standings(graph, facts)


def _facts(folder: Path) -> Any:
    from xdist.study import Facts

    return Facts(folder / "digests.json")


def _make_demo(folder: Path) -> None:
    from xdist.errors import UserError

    try:
        from xdist.demo.pipeline import materials
    except ModuleNotFoundError as error:
        raise UserError(f"the demo needs {error.name}: pip install 'xdist-xtreme[demo]'") from None
    materials(folder)
