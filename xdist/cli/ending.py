"""What `train` and `evaluate` end with: scores by group, the folder, and what to do next."""

import shlex
from pathlib import Path

import click

from xdist.data.branches import branches_in
from xdist.report.reading import read_scores
from xdist.report.terminal import group_table
from xdist.run.folder import RunFolder
from xdist.run.signature import signatures
from xdist.run.tables import show


def show_ending(place: Path) -> None:
    """Of a finished run, on standard output."""
    folder = RunFolder(place)
    if folder.scores.exists():
        scores = read_scores([place])
        click.echo()
        show(group_table(scores))
        click.echo()
        for line in scores.unknown:  # the rest has been said by the evaluation
            show(line)
        for line in signatures(place).values():
            click.echo(f"signature: {line}")
    click.echo(f"folder: {place}")
    for command, why in _next(folder):
        click.echo(f"next:   {command}  # {why}")


def _next(folder: RunFolder) -> list[tuple[str, str]]:
    name = shlex.quote(str(folder.path))
    found = []
    if folder.scores.exists():
        found.append((f"xdist report {name} --out {name}/report", "every language"))
        found.append((f"xdist compare {name} OTHER_RUN", "is it better?"))
    if folder.model.exists() and branches_in(folder.model) is None:  # of those transformers knows nothing
        found.append((f"xdist export {name} models/NAME", "for transformers"))
    return found
