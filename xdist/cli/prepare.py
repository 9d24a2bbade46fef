"""xdist prepare: official files into token shards."""

from pathlib import Path

import click

from xdist.cli.options import dry_run, run_arguments


@click.command(name="prepare", short_help="Tokenise a run's data into memory-mapped shards.")
@run_arguments
@dry_run
def command(path: Path, overrides: tuple[str, ...], dry_run: bool) -> None:
    """Read, tokenise and write what RUN.yaml trains and evaluates on, each task, split and language once.

    What is prepared already (same files, tokenizer and length) is found again. `xdist train` does this by itself; on a
    cluster do it beforehand.

    \b
    Example:
      xdist prepare jobs/runs/demo/target.yaml
    """
    from xdist.config import load_run
    from xdist.data.pieces import evaluation_pieces, training_pieces

    run = load_run(path, overrides)
    if dry_run:
        for piece in dict.fromkeys(training_pieces(run) + evaluation_pieces(run)):
            click.echo(piece)
        return
    from xdist.launch.prepared import prepare

    prepare(run)
    click.echo(f"prepared: {run.data.cache}")
