"""xdist status: how runs are doing."""

from pathlib import Path

import click

from xdist.cli.options import given_plugins, say_wrong


@click.command(name="status", short_help="State, step, loss, time left, last checkpoint and restarts of runs.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN|STUDY|FOLDER]...")
@given_plugins
def command(paths: tuple[Path, ...]) -> None:
    """Say how runs are doing: RUN is a run's YAML or folder, STUDY a study's YAML, FOLDER one with runs below it
    (default: runs).

    Reads run folders and, for runs that were submitted, asks their scheduler.

    \b
    Example:
      xdist status runs/demo
    """
    from rich.console import Console
    from rich.table import Table

    from xdist.errors import UserError
    from xdist.launch.status import find, statuses

    table = Table("run", "state", "job", "step", "loss", "left", "saved", "restarts")
    notes, wrong = [], []
    for one in statuses(find(paths or (Path("runs"),))):
        if isinstance(one, UserError):
            wrong.append(one)
            continue
        table.add_row(
            one.run,
            one.state,
            one.job,
            f"{one.step}/{one.steps}" if one.steps else str(one.step or ""),
            "" if one.loss is None else f"{one.loss:.4f}",
            "" if one.left is None else str(one.left),
            "" if one.saved is None else str(one.saved),
            str(one.restarts or ""),
        )
        if one.reason:
            notes.append(f"{one.run}: {one.reason} ({one.folder})")
    if table.row_count:
        Console().print(table)
    for note in notes:
        click.echo(note)
    say_wrong(wrong, all_of_them=not table.row_count)
