"""xdist evaluate: score a run's model on the ranks of this machine."""

from pathlib import Path

import click

from xdist.cli.options import dry_run, run_arguments


@click.command(name="evaluate", short_help="Score a run's model on its tasks and languages.")
@run_arguments
@click.option("--ranks", type=click.IntRange(1), help="Processes on this machine; short for runtime.ranks=N.")
@dry_run
def command(path: Path, overrides: tuple[str, ...], ranks: int | None, dry_run: bool) -> None:
    """Evaluate the run that RUN.yaml describes on every task and language of its section `evaluate`.

    Starts `xdist/evaluate.py RUN.yaml` on the ranks of this machine, at most one per GPU. What has a score is not
    computed again. A run without a section `train` evaluates its backbone as it is, which retrieval tasks allow.

    \b
    Example:
      xdist evaluate jobs/runs/demo/target.yaml --ranks 2 evaluate.languages=[de,sw]
    """
    from xdist.cli.starting import start

    start("evaluate", path, overrides, ranks, dry_run)
