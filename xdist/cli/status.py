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
    runs = [one for one in found if isinstance(one, Status)]
    wrong = [one for one in found if isinstance(one, UserError)]
    if as_json:
        print_json({"runs": [asdict(one) for one in runs], "wrong": [str(error) for error in wrong]})
        say_wrong(wrong, all_of_them=not runs)
        return
    names = Counter(one.run for one in runs)
    table = Table("run", "state", "job", ">step", ">loss", ">left", ">saved", ">restarts")
    for one in runs:
        table.row(
            one.run if names[one.run] == 1 else f"{one.run} ({one.folder})",
            one.state,
            one.job,
            f"{one.step}/{one.steps}" if one.steps else str(one.step or ""),
            "" if one.loss is None else f"{one.loss:.4f}",
            "" if one.left is None else str(one.left),
            "" if one.saved is None else str(one.saved),
            str(one.restarts or ""),
        )
    if runs:
        show(table)
    for one in runs:
        if one.reason:
            click.echo(f"{one.run}: {one.reason} ({one.folder})")
    say_wrong(wrong, all_of_them=not runs)
