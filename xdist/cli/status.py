"""xdist status: how runs are doing."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import given_plugins, say_wrong


@click.command(name="status", short_help="State, step, loss, time left, last checkpoint and restarts of runs.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN|STUDY|FOLDER]...")
@given_plugins
@json_option
def command(paths: tuple[Path, ...], as_json: bool) -> None:
    """Show the state of runs: RUN is a run's YAML or folder, STUDY a study's YAML, FOLDER one with runs below it
    (default: runs).

    Reads run folders and, for runs that were submitted, asks their scheduler. Runs of one name are distinguished by their
    folders.

    \b
    Example:
      xdist status runs/demo
    """
    from xdist.errors import UserError
    from xdist.launch.status import Status, find_runs, statuses
    from xdist.run.tables import Table, show

    found = list(statuses(find_runs(paths or (Path("runs"),))))
    runs = [run for run in found if isinstance(run, Status)]
    wrong = [error for error in found if isinstance(error, UserError)]
    if as_json:
        print_json({"runs": [asdict(run) for run in runs], "wrong": [str(error) for error in wrong]})
        say_wrong(wrong, all_of_them=not runs)
        return
    names = Counter(run.run for run in runs)
    table = Table("run", "state", "job", ">step", ">loss", ">left", ">saved", ">restarts")
    for run in runs:
        table.row(
            run.run if names[run.run] == 1 else f"{run.run} ({run.folder})",
            run.state,
            run.job,
            f"{run.step}/{run.steps}" if run.steps else str(run.step or ""),
            "" if run.loss is None else f"{run.loss:.4f}",
            "" if run.left is None else str(run.left),
            "" if run.saved is None else str(run.saved),
            str(run.restarts or ""),
        )
    if runs:
        show(table)
    for run in runs:
        if run.reason:
            click.echo(f"{run.run}: {run.reason} ({run.folder})")
    say_wrong(wrong, all_of_them=not runs)
