"""xdist logs: what a run said, submitted or started on this machine."""

import subprocess
import sys
from pathlib import Path

import click

from xdist.cli.options import given_plugins


@click.command(name="logs", short_help="The output of a run.")
@click.argument("path", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--lines", type=click.IntRange(1), default=100, show_default=True, help="The last N lines.")
@click.option("--follow", "-f", is_flag=True, help="Keep showing new lines.")
@given_plugins
def command(path: Path, lines: int, follow: bool) -> None:
    """Show the log of the run that RUN, its YAML or folder, names: of all its starts, from all nodes; of a run on this machine
    the file xdist.log in its folder.

    \b
    Example:
      xdist logs runs/demo/target-multilingual-adversarial --follow
    """
    from xdist.errors import UserError
    from xdist.launch.status import find_runs, log_command

    folders = find_runs([path])
    if len(folders) > 1:
        raise UserError(f"{path}: {len(folders)} runs are below this folder; name one of them")
    words = log_command(folders[0], lines, follow)
    try:
        sys.exit(subprocess.run(words, check=False).returncode)
    except FileNotFoundError:
        raise UserError(f"{words[0]}: no such command on this machine") from None
    except KeyboardInterrupt:
        sys.exit(130)
