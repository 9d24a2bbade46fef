"""xdist checkpoint: look at a run's checkpoints, check them, remove old ones."""

from pathlib import Path

import click

run_place = click.argument("place", metavar="RUN_FOLDER|RUN.yaml", type=click.Path(path_type=Path))


@click.group(name="checkpoint", short_help="List, verify or prune the checkpoints of a run.")
def command() -> None:
    """Look at the checkpoints of a run: its folder, or the YAML that describes it.

    \b
    Example:
      xdist checkpoint list runs/demo/target-multilingual-adversarial
      xdist checkpoint verify jobs/runs/demo/target.yaml
    """


@command.command(name="list", short_help="Steps, ranks, ZeRO stage, size; nothing is read.")
@run_place
def list_(place: Path) -> None:
    """List what is there, oldest first, and what stands in the way of using it, as far as names and sizes show.

    \b
    Example:
      xdist checkpoint list runs/demo/target-multilingual-adversarial
    """
    from rich.console import Console
    from rich.table import Table

    from xdist.checkpoint import tags

    folder = _checkpoints(place)
    table = Table("checkpoint", "step", "ranks", "ZeRO stage", "files", "MB", "state")
    for path in tags.rubbish(folder):
        tag = tags.read(path)
        if tag is None:
            state = (
                "being written, or left by a killed run" if path.name == tags.SAVING else "no valid manifest: does not exist"
            )
            table.add_row(path.name, "", "", "", "", "", "set aside: damaged" if path.name.startswith(tags.DAMAGED) else state)
            continue
        numbers = (str(tag.step), str(tag.world), str(tag.stage), str(len(tag.manifest["files"])), f"{tag.bytes / 1e6:.1f}")
        table.add_row(path.name, *numbers, "; ".join(tag.shrunken()) or "complete")
    Console().print(table)


@command.command(short_help="Read every file and compare it with its checksum.")
@run_place
@click.option("--step", type=click.IntRange(0), help="Only the checkpoint of this step.")
def verify(place: Path, step: int | None) -> None:
    """Read every shard of every checkpoint, and name each file that is missing, cut or changed. Exits 1 if there is one.

    \b
    Example:
      xdist checkpoint verify runs/demo/target-multilingual-adversarial --step 28
    """
    from xdist.checkpoint import tags
    from xdist.errors import UserError, unknown
    from xdist.run.progress import Progress

    folder = _checkpoints(place)
    found = tags.tags(folder)
    if not found:
        raise UserError(f"{folder}: holds no checkpoint")
    if step is not None:
        steps = [tag.step for tag in found]
        found = [tag for tag in found if tag.step == step]
        if not found:
            raise UserError(f"{folder}: {unknown('step', step, steps)}")
    damaged = 0
    progress = Progress("verify", sum(tag.bytes for tag in found))
    try:
        for tag in found:
            wrong = tag.damage(seen=progress.advance)
            damaged += bool(wrong)
            for line in wrong or ["whole"]:
                click.echo(f"{tag.path.name}: {line}")
    finally:
        progress.close()
    if damaged:
        click.echo(f"{damaged} of {len(found)} checkpoints damaged; a run goes on from the newest that is whole", err=True)
        raise SystemExit(1)


@command.command(short_help="Remove all but the newest.")
@run_place
@click.option("--keep", type=click.IntRange(1), default=1, show_default=True, help="Checkpoints kept.")
def prune(place: Path, keep: int) -> None:
    """Remove all but the newest complete checkpoints, and what killed runs left behind. Refused while the run is running.

    \b
    Example:
      xdist checkpoint prune runs/demo/target-multilingual-adversarial --keep 2
    """
    from xdist.checkpoint import tags
    from xdist.run.lock import RunLock

    folder = _checkpoints(place)
    lock = RunLock(folder.parent)
    lock.take("xdist checkpoint prune")
    try:
        removed = tags.prune(folder, keep)
    finally:
        lock.release()
    for path in removed:
        click.echo(f"removed {path}")
    click.echo(f"kept {', '.join(tag.path.name for tag in tags.tags(folder)) or 'nothing'}")


def _checkpoints(place: Path) -> Path:
    from xdist.errors import UserError
    from xdist.run.folder import located

    folder = located(place).checkpoints
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; the run has saved nothing yet")
    return folder
