"""xdist study: many runs from one description, each done once."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.completion import keys_of
from xdist.cli.options import cluster_arguments, dry_run
from xdist.cli.study_freeze import command as freeze_command
from xdist.cli.study_power import command as power_command
from xdist.run.lasting import lasting


def study_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """STUDY.yaml and any number of overrides a.b=c."""
    function = click.argument("overrides", nargs=-1, metavar="[a.b=c]...", shell_complete=keys_of("study"))(function)
    return click.argument("path", metavar="STUDY.yaml", type=click.Path(path_type=Path))(function)


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
    """Show the graph of runs: which begin with which, how many combinations share one, updates and tokens of each, disk.

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
    from xdist.study.power_show import brief
    from xdist.study.show import print_plan

    graph, facts, found = _standings(path, overrides)
    print_plan(graph, found, facts, Console(), Machine(gpus=gpus, memory=gpu_memory, peak=peak) if peak else None)
    with suppress(UserError):  # of a study that compares nothing
        design = design_of(graph, read=False)
        show(brief(design, spreads_of(design, graph, pilot_of(graph, found))))


command.add_command(power_command)


command.add_command(freeze_command)


@command.command(short_help="Do every run that is not done, one after another, on this machine.")
@study_arguments
@dry_run
@lasting()
def run(path: Path, overrides: tuple[str, ...], dry_run: bool) -> None:
    """Do every run that is not done. Started again, it resumes where it stopped, and tries again what failed.

    A run that fails does not stop those that do not need it. At the end the study's report is written into its folder, and its
    answer printed. Exit codes: 0 all finished, 75 stopped and saved (start it again),
    1 some failed, 2 wrong input.

    \b
    Example:
      xdist study run jobs/studies/demo.yaml
    """
    from rich.console import Console

    from xdist.config import load_study
    from xdist.study import expand
    from xdist.study.running import STOPPED, check_study, run_study
    from xdist.study.show import print_standings, unusual_in
    from xdist.study.state import standings

    study = load_study(path, overrides)
    if "demo" in study.needs and not dry_run:
        _make_demo(study.needs["demo"])
    facts = _facts(study.folder)
    graph = expand(study, facts)
    if dry_run:
        check_study(graph)
        found = standings(graph, facts)
        print_standings(graph, found, Console())
        for line in unusual_in(graph, found):
            click.echo(line)
        return
    facts.remember()
    code = run_study(graph, facts)
    facts.remember()
    found = standings(graph, facts)
    print_standings(graph, found, Console())
    if code != STOPPED:
        _report(graph, found)
    if code == STOPPED:
        click.echo(f"stopped; start it again to resume: xdist study run {path}", err=True)
    sys.exit(code)


@command.command(short_help="Hand every run that is not done to SLURM or Kubernetes, each after the one it needs.")
@study_arguments
@cluster_arguments
@click.option(
    "--at-once",
    type=click.IntRange(1),
    metavar="N",
    help="Submit the runs as one array of jobs, of which at most N run at a time (SLURM).",
)
@click.option(
    "--retry-every",
    type=click.IntRange(1, 86400),
    metavar="SECONDS",
    help="Where the queue takes no more jobs, wait and try again, until all are submitted.",
)
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="With --dry-run: write what the scheduler would get into this new folder.",
)
@dry_run
def submit(
    path: Path,
    overrides: tuple[str, ...],
    cluster_path: Path,
    settings: tuple[str, ...],
    after: tuple[str, ...],
    at_once: int | None,
    retry_every: int | None,
    texts: Path | None,
    dry_run: bool,
) -> None:
    """Submit a job for every run that is not done and has none. A run that begins with another's model waits for it, through
    all lives of its job, and is cancelled if that fails; what does not need it goes on. Started again, it submits what is left.

    On Kubernetes, where no job waits for another, runs are submitted once those before them have ended: start it again then.

    \b
    Example:
      xdist study submit jobs/studies/xtreme-r.yaml --cluster jobs/clusters/slurm.yaml --dry-run
      xdist study submit jobs/studies/demo.yaml --cluster jobs/clusters/slurm.yaml --at-once 4 --dry-run --texts texts
    """
    from rich.console import Console

    from xdist.config import load_study
    from xdist.errors import UserError
    from xdist.launch.clusters import load_cluster, require
    from xdist.study import arrays, expand, submitting
    from xdist.study.running import alone
    from xdist.study.show import print_steps

    study, cluster = load_study(path, overrides), load_cluster(cluster_path, settings)
    if texts and not dry_run:
        raise UserError("--texts: needs --dry-run; what is submitted lies in the folder of each run (job/)")
    for given, option, capability in ((after, "--after", "waits"), (at_once, "--at-once", "arrays")):
        if given:
            require(capability, option, cluster, cluster_path)
    if "demo" in study.needs and not dry_run:
        _make_demo(study.needs["demo"])
    facts = _facts(study.folder)
    graph = expand(study, facts)
    if dry_run:
        steps = submitting.plan(graph, facts, cluster)
        together = arrays.texts(graph, steps, cluster, at_once) if at_once else {}
        if together:
            click.echo(f"{len(together)} array{'s' * (len(together) > 1)}, at most {at_once} runs of each at a time", err=True)
        if texts:
            click.echo(f"{submitting.write_texts(steps, texts, together)} files in {texts}", err=True)
        print_steps(graph, steps, True, Console())
        return
    facts.remember()
    done: list[submitting.Step] = []
    with alone(study.folder):
        arrays.take_back_held(graph, cluster)
        steps = submitting.plan(graph, facts, cluster)
        try:
            if at_once:
                submitted = arrays.submit(graph, facts, steps, cluster, at_once, after, retry_every)
            else:
                submitted = submitting.submit(graph, facts, steps, after, retry_every)
            for step in submitted:
                done.append(step)
        finally:  # what was submitted before the scheduler refused
            print_steps(graph, done, False, Console())
    facts.remember()
    if later := sum(step.what == "later" for step in done):
        click.echo(f"{later} runs wait for others; when these have ended: xdist study submit {path} --cluster {cluster_path}")
    click.echo(f"xdist study status {path}")


@command.command(short_help="A table of where each run stands.")
@study_arguments
@json_option
def status(path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show where each run stands, its step, and why what failed did. While the study runs, too.

    \b
    Example:
      xdist study status jobs/studies/demo.yaml
    """
    from rich.console import Console

    from xdist.study.learnt import learnt_facts
    from xdist.study.show import print_standings

    graph, _, found = _standings(path, overrides)
    if as_json:
        runs = [
            {"run": node.run.name, "folder": node.run.folder, **asdict(found[key]), "learnt": learnt_facts(graph, node)}
            for key, node in graph.nodes.items()
        ]
        print_json({"study": graph.study.name, "folder": graph.study.folder, "runs": runs})
        return
    print_standings(graph, found, Console())


def _report(graph: Any, found: Any) -> None:
    """Write the study's report and say its answer; say why not, where nothing has scores: the runs are what was asked for."""
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
