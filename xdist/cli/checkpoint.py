"""xdist checkpoint: look at a run's checkpoints, check them, remove old ones."""

from pathlib import Path
from typing import Any

import click

from xdist.cli.as_json import json_option, print_json

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
@json_option
def list_(place: Path, as_json: bool) -> None:
    """List the checkpoints, oldest first, and what prevents their use, as far as names and sizes show.

    \b
    Example:
      xdist checkpoint list runs/demo/target-multilingual-adversarial
    """
    from rich.filesize import decimal

    from xdist.checkpoint import tags
    from xdist.run.tables import Table, show

    folder = _checkpoints(place)
    listed = [_checkpoint_entry(path) for path in tags.tag_folders(folder)]
    if as_json:
        print_json({"folder": folder, "checkpoints": listed})
        return
    table = Table("checkpoint", ">step", ">ranks", ">ZeRO stage", ">files", ">size", "~state")
    for checkpoint in listed:
        numbers = ["" if checkpoint[key] is None else str(checkpoint[key]) for key in ("step", "ranks", "stage", "files")]
        table.row(
            checkpoint["name"],
            *numbers,
            "" if checkpoint["bytes"] is None else decimal(checkpoint["bytes"]),
            checkpoint["state"],
        )
    show(table)


@command.command(short_help="Read every file and compare it with its checksum.")
@run_place
@click.option("--step", type=click.IntRange(0), help="Only the checkpoint of this step.")
@json_option
def verify(place: Path, step: int | None, as_json: bool) -> None:
    """Read every shard of every checkpoint, and name each file that is missing, cut or changed. Exits 1 if there is one.

    \b
    Example:
      xdist checkpoint verify runs/demo/target-multilingual-adversarial --step 28
    """
    from xdist.checkpoint import tags
    from xdist.errors import UserError, unknown
    from xdist.run.progress import Progress

    folder = _checkpoints(place)
    chosen = tags.list_tags(folder)
    if not chosen:
        raise UserError(f"{folder}: holds no checkpoint")
    if step is not None:
        steps = [tag.step for tag in chosen]
        chosen = [tag for tag in chosen if tag.step == step]
        if not chosen:
            raise UserError(f"{folder}: {unknown('step', step, steps)}")
    told: list[dict[str, Any]] = []
    progress = Progress("verify", sum(tag.bytes for tag in chosen), in_bytes=True)
    try:
        for tag in chosen:
            wrong = tag.damage(seen=progress.advance)
            told.append({"name": tag.path.name, "step": tag.step, "damage": wrong})
            for line in wrong or ["whole"] if not as_json else ():
                click.echo(f"{tag.path.name}: {line}")
    finally:
        progress.close()
    if as_json:
        print_json({"folder": folder, "checkpoints": told})
    if damaged := sum(bool(one["damage"]) for one in told):
        click.echo(f"{damaged} of {len(chosen)} checkpoints damaged; a run resumes from the newest that is intact", err=True)
        raise SystemExit(1)


@command.command(short_help="Remove all but the newest, or optimizer states.")
@run_place
@click.option("--keep", type=click.IntRange(1), help="Checkpoints kept; 1, with --states all, if not given.")
@click.option("--states", is_flag=True, help="Drop the optimizer states of those that are kept: their weights stay for export.")
def prune(place: Path, keep: int | None, states: bool) -> None:
    """Remove all but the newest complete checkpoints, and what killed runs left behind. Refused while the run is running.

    With --states checkpoints keep their weights in fp32, a quarter of their size or less, so `xdist export --tag` and
    `--average` find them as before. A run that is not finished keeps the states of its newest checkpoint, from which it
    resumes.

    \b
    Example:
      xdist checkpoint prune runs/demo/target-multilingual-adversarial --keep 2
      xdist checkpoint prune runs/demo/target-multilingual-adversarial --states
    """
    from rich.filesize import decimal

    from xdist.checkpoint import stripped, tags
    from xdist.errors import writing
    from xdist.run.lock import RunLock

    folder = _checkpoints(place)
    lock = RunLock(folder.parent)
    lock.take("xdist checkpoint prune")
    removed: list[Path] = []
    try:
        if keep or not states:
            removed = tags.prune_tags(folder, keep or 1)
        for path in removed:
            click.echo(f"removed {path}")
        if states:
            with writing(folder):
                for tag, freed in stripped.strip_tags(folder, all_done=(folder.parent / "model").is_dir()):
                    click.echo(f"{tag.path.name}: weights alone, {decimal(max(freed, 0))} less")
    finally:
        lock.release()
    click.echo(f"kept {', '.join(tag.path.name for tag in tags.list_tags(folder)) or 'nothing'}")


def _checkpoint_entry(path: Path) -> dict[str, Any]:
    """One entry of a folder of checkpoints; what is no checkpoint has a name and a state alone."""
    from xdist.checkpoint import tags

    tag = tags.read_tag(path)
    if tag:
        counts = {"step": tag.step, "ranks": tag.world, "stage": tag.stage, "files": len(tag.manifest["files"])}
        whole = "complete" if tag.has_states else "weights alone"
        return {"name": path.name, **counts, "bytes": tag.bytes, "state": "; ".join(tag.shrunken()) or whole}
    state = "being written, or left by a killed run" if path.name == tags.SAVING else "no valid manifest: does not exist"
    if path.name.startswith(tags.DAMAGED):
        state = "set aside: damaged"
    return {"name": path.name, **dict.fromkeys(("step", "ranks", "stage", "files", "bytes")), "state": state}


def _checkpoints(place: Path) -> Path:
    from xdist.errors import UserError
    from xdist.run.folder import locate_run_folder

    folder = locate_run_folder(place).checkpoints
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; the run has saved nothing yet")
    return folder
