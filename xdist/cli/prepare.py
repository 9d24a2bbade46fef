"""xdist prepare: official files and running text into token shards."""

from pathlib import Path
from typing import Literal

import click

from xdist.cli.options import dry_run, run_arguments


def _part(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    number, slash, of = value.partition("/")
    if not slash or not number.isdigit() or not of.isdigit() or not 1 <= int(number) <= int(of):
        raise click.BadParameter(f"'{value}': expected i/n, such as 2/8")
    return int(number), int(of)


@click.command(name="prepare", short_help="Tokenise a run's data into memory-mapped shards.")
@run_arguments
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that tokenise.")
@click.option("--part", callback=_part, metavar="i/n", help="Only the i-th of n parts, as in an array job; then --finish.")
@click.option("--finish", is_flag=True, help="Only write the manifests of sets whose parts are all made.")
@click.option("--verify", is_flag=True, help="Prepare nothing: read all prepared sets and check every byte.")
@click.option(
    "--on-bad-row",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="Lines of running text that cannot be read: an error, or counted and skipped, up to 1 %.",
)
@dry_run
def command(
    path: Path,
    overrides: tuple[str, ...],
    workers: int,
    part: tuple[int, int] | None,
    finish: bool,
    verify: bool,
    on_bad_row: Literal["fail", "skip"],
    dry_run: bool,
) -> None:
    """Read, tokenise and write what RUN.yaml trains and evaluates on, each task, split and language once.

    Sets that are prepared already (same files, tokenizer and length) are reused, and of an interrupted set only the unfinished
    shards are made. `xdist train` does this by itself; on a cluster do it beforehand. Training checks each block of rows when
    it first reads it; --verify reads and checks all of them.

    \b
    Examples:
      xdist prepare jobs/runs/demo/target.yaml --workers 2
      xdist prepare RUN.yaml --part $((SLURM_ARRAY_TASK_ID + 1))/16; afterwards: xdist prepare RUN.yaml --finish
    """
    if verify and (finish or part):
        raise click.UsageError("--verify makes nothing: leave --part and --finish out")
    from xdist.config import load_run
    from xdist.data.look import find_without_gold
    from xdist.resolve.resolved import resolve

    resolved = resolve(load_run(path, overrides), "prepare")
    if dry_run:
        find_without_gold(resolved.run.data.root, resolved.subsets.trained, resolved.subsets.evaluation)
        for subset in dict.fromkeys(resolved.read("prepare")):
            click.echo(subset)
        return
    from xdist.launch.prepared import finish as finish_parts
    from xdist.launch.prepared import prepare
    from xdist.launch.prepared import verify as verify_sets
    from xdist.resolve.preparing import preparation_of

    if verify:
        verify_sets(preparation_of(resolved))
        return
    if finish:
        finish_parts(preparation_of(resolved))
    else:
        prepare(preparation_of(resolved), resolved.run.name, workers=workers, part=part or (1, 1), on_bad=on_bad_row)
    if part is None or finish:
        click.echo(f"prepared: {resolved.run.data.cache}")
    else:
        click.echo(f"part {part[0]} of {part[1]} is done; when all are: xdist prepare {path} --finish")
