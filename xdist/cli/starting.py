"""What `train` and `evaluate` do alike: check all that can be checked, prepare the data, launch, say how it ended."""

import sys
from pathlib import Path
from typing import Literal, NoReturn

import click

from xdist.config import Run, load_run
from xdist.data.look import look
from xdist.data.pieces import evaluation_pieces, training_pieces
from xdist.evaluation.scores import said, without_gold
from xdist.evaluation.to_do import to_do, untold
from xdist.launch import local
from xdist.launch.prepared import launch
from xdist.runtime import devices, ds_config, sinks
from xdist.runtime.lock import RunLock
from xdist.runtime.run_folder import RunFolder


def start(kind: Literal["train", "evaluate"], path: Path, overrides: tuple[str, ...], ranks: int | None, dry_run: bool) -> None:
    """Exit with the run's code."""
    if ranks:
        overrides = (*overrides, f"runtime.ranks={ranks}")
    run = load_run(path, overrides)
    folder = RunFolder(run.folder)
    folder.check(run)
    training = training_pieces(run)
    todo = to_do(run)  # what is wrong with it is said before anything is started
    if kind == "train" and not folder.model.is_dir():
        run.check_method_files()
    config = ds_config.find(run.runtime.deepspeed)
    ds_config.read(config)
    sinks.check(run)
    done = folder.state == "finished" and not todo
    if not done:
        devices.check(run.runtime.ranks)
    command = local.command(kind, path, overrides, run.runtime.ranks)
    if dry_run:
        blanked = look(run, train=kind == "train")
        click.echo(f"run {run.name} in {run.folder} (now: {folder.state})")
        click.echo(f"train on      {', '.join(map(str, training)) or 'nothing'}")
        click.echo(f"evaluate on   {_summary(run)}")
        if blanked:
            click.echo(f"              {said(blanked)}")
        click.echo(f"deepspeed     {config}")
        click.echo(f"command       {local.shown(command)}")
        return
    if done:
        click.echo(f"{run.name} is finished: {folder.scores if folder.scores.exists() else folder.model}")
        for line in (*untold(run, todo), *([said(blanked)] if (blanked := without_gold(run)) else ())):
            click.echo(line)
        return
    RunLock(run.folder).check()
    sys.exit(launch(kind, run, path, overrides))


def again(path: Path, overrides: tuple[str, ...], ranks: int | None, step: int) -> NoReturn:
    """Make one step of a run again and exit with the code of its ranks. Raises UserError where the folder holds another run."""
    run = load_run(path, overrides)
    RunFolder(run.folder).check(run)
    sys.exit(local.only_step(step, path, overrides, ranks or run.runtime.ranks))


def _summary(run: Run) -> str:
    tasks: dict[str, int] = {}
    for piece in evaluation_pieces(run):
        tasks[piece.task.name] = tasks.get(piece.task.name, 0) + 1
    return ", ".join(f"{name} in {count} languages" for name, count in tasks.items()) or "nothing"
