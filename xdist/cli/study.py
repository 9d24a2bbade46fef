"""xdist study: many runs from one description, each done once."""

import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import at_once, dry_run, study_arguments
from xdist.cli.study_freeze import command as freeze_command
from xdist.cli.study_power import command as power_command
from xdist.cli.study_read import facts_in, make_demo, read_standings
from xdist.cli.study_submit import command as submit_command
from xdist.run.lasting import lasting


@click.group(name="study", short_help="A graph of runs from one description: plan, run, submit, status.")
def command() -> None:
    """Plan and run a study: stages, axes along which they differ, seeds.

    \b
    Example:
      xdist study plan jobs/studies/demo.yaml
      xdist study run jobs/studies/xtreme-r.yaml all.data.root=download
    """


@command.command(short_help="Show the runs as a tree, what is shared, what they cost; start nothing.")
@study_arguments
@click.option(
    "--peak", type=click.FloatRange(0, min_open=True), help="TFLOP/s of one GPU: shows GPU-hours too, as xdist plan does."
)
@click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="GPUs of each run.")
@click.option("--gpu-memory", type=click.FloatRange(0, min_open=True), default=80, show_default=True, help="GB of one GPU.")
def plan(path: Path, overrides: tuple[str, ...], peak: float | None, gpus: int, gpu_memory: float) -> None:
    """Show the graph of runs: which runs start from which, how many combinations share one, updates and tokens of each, disk.

    \b
    Example:
      xdist study plan jobs/studies/demo.yaml 'seeds=[1]'
      xdist study plan jobs/studies/xtreme-r.yaml --gpus 4 --gpu-memory 40 --peak 312
    """
    from rich.console import Console

    from xdist.errors import UserError
    from xdist.run.tables import show
    from xdist.study.planning import Machine
    from xdist.study.power_design import design_of, pilot_of, spreads_of
    from xdist.study.power_show import summary_line
    from xdist.study.show import print_plan

    graph, facts, found = read_standings(path, overrides)
    print_plan(graph, found, facts, Console(), Machine(gpus=gpus, memory=gpu_memory, peak=peak) if peak else None)
    with suppress(UserError):  # of a study that compares nothing
        design = design_of(graph, read=False)
        show(summary_line(design, spreads_of(design, graph, pilot_of(graph, found))))


command.add_command(power_command)
command.add_command(freeze_command)


@command.command(short_help="Start all unfinished runs, one after another or several at a time, on this machine.")
@study_arguments
@at_once
@dry_run
@lasting()
def run(path: Path, overrides: tuple[str, ...], at_once: int, dry_run: bool) -> None:
    """Start all unfinished runs. Started again, it resumes where it stopped, and tries again what failed.

    A failed run stops only the runs that need it. At the end the study's report is written into its folder, and its
    answer printed. Exit codes: 0 all finished, 75 stopped and saved (start it again),
    1 some failed, 2 wrong input.

    \b
    Example:
      xdist study run jobs/studies/demo.yaml
      xdist study run jobs/studies/xtreme-r.yaml --at-once 4
    """
    from rich.console import Console

    from xdist.config import load_study
    from xdist.study import expand
    from xdist.study.running import STOPPED, check_study, run_study
    from xdist.study.show import print_standings, unusual_in
    from xdist.study.state import standings

    study = load_study(path, overrides)
    if "demo" in study.needs and not dry_run:
        make_demo(study.needs["demo"])
    facts = facts_in(study.folder)
    graph = expand(study, facts)
    if dry_run:
        check_study(graph, at_once)
        found = standings(graph, facts)
        print_standings(graph, found, Console())
        for line in unusual_in(graph, found):
            click.echo(line)
        return
    facts.remember()
    code = run_study(graph, facts, at_once)
    facts.remember()
    found = standings(graph, facts)
    print_standings(graph, found, Console())
    if code != STOPPED:
        _report(graph, found)
    if code == STOPPED:
        click.echo(f"stopped; start it again to resume: xdist study run {path}", err=True)
    sys.exit(code)


command.add_command(submit_command)


@command.command(short_help="A table of the state of each run.")
@study_arguments
@json_option
def status(path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show the state of each run, its step, and why runs failed, also while the study runs.

    \b
    Example:
      xdist study status jobs/studies/demo.yaml
    """
    from rich.console import Console

    from xdist.study.learnt import learnt_facts
    from xdist.study.show import print_standings

    graph, _, found = read_standings(path, overrides)
    if as_json:
        runs = [
            {"run": node.run.name, "folder": node.run.folder, **asdict(found[key]), "learnt": learnt_facts(graph, node)}
            for key, node in graph.nodes.items()
        ]
        print_json({"study": graph.study.name, "folder": graph.study.folder, "runs": runs})
        return
    print_standings(graph, found, Console())


def _report(graph: Any, found: Any) -> None:
    """Write the study's report and say its answer; say why not, where nothing has scores: the runs are what was requested."""
    from xdist.errors import UserError
    from xdist.run.tables import show
    from xdist.study.reporting import write_results
    from xdist.study.results import study_results

    try:
        written = write_results(study_results(graph, found), graph.study.folder / "report")
    except UserError as error:
        click.echo(f"no report: {error}", err=True)
        return
    for sentence in written.sentences:
        show(sentence)
    click.echo(f"report: {written.html}")
