"""What `train` and `evaluate` do alike: check all that can be checked, prepare the data, launch, say how it ended."""

import sys
from collections import Counter
from pathlib import Path
from typing import Literal, NoReturn

import click

from xdist.config import load_run
from xdist.data.look import look
from xdist.evaluation.scores import said, without_gold
from xdist.evaluation.to_do import ToDo, to_do, untold
from xdist.launch import local
from xdist.launch.prepared import launch
from xdist.resolve.resolved import resolve
from xdist.runtime import devices
from xdist.runtime.lock import RunLock


def start(kind: Literal["train", "evaluate"], path: Path, overrides: tuple[str, ...], ranks: int | None, dry_run: bool) -> None:
    """Exit with the run's code."""
    if ranks:
        overrides = (*overrides, f"runtime.ranks={ranks}")
    resolved = resolve(load_run(path, overrides), kind)
    run, folder, subsets = resolved.run, resolved.folder, resolved.subsets
    request = resolved.request if run.evaluate else None
    todo = to_do(request) if request else ToDo()  # what is wrong with it is said before anything is started
    done = folder.state == "finished" and not todo
    if not done:
        devices.check(run.runtime.ranks)
    if dry_run:
        blanked = look(run.data.root, subsets.trained if kind == "train" else (), subsets.evaluation)
        scored = Counter(subset.task.name for subset in subsets.evaluation)
        click.echo(f"run {run.name} in {run.folder} (now: {folder.state})")
        click.echo(f"train on      {', '.join(map(str, subsets.training)) or 'nothing'}")
        click.echo(f"evaluate on   {', '.join(f'{name} in {count} languages' for name, count in scored.items()) or 'nothing'}")
        if blanked:
            click.echo(f"              {said(blanked)}")
        click.echo(f"deepspeed     {resolved.deepspeed_file}")
        click.echo(f"command       {local.shown(local.command(kind, path, overrides, run.runtime.ranks))}")
        return
    if done:
        click.echo(f"{run.name} is finished: {folder.scores if folder.scores.exists() else folder.model}")
        blanked = without_gold(request) if request else []
        for line in (*(untold(request, todo) if request else ()), *([said(blanked)] if blanked else ())):
            click.echo(line)
        return
    RunLock(folder.path).check()
    sys.exit(launch(kind, resolved, path, overrides))


def again(path: Path, overrides: tuple[str, ...], ranks: int | None, step: int) -> NoReturn:
    """Make one step of a run again and exit with the code of its ranks. Raises UserError where the folder holds another run."""
    run = resolve(load_run(path, overrides), "train").run
    sys.exit(local.only_step(step, path, overrides, ranks or run.runtime.ranks))
