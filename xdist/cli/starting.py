"""What `train` and `evaluate` have in common: show what would be done, or do it and say how it ended."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NoReturn

import click

from xdist import api
from xdist.cli.as_json import print_json
from xdist.cli.ending import show_ending
from xdist.config import load_run
from xdist.data.look import find_without_gold
from xdist.evaluation.overlap import overlaps
from xdist.evaluation.scores import without_gold_line
from xdist.launch import local
from xdist.launch.starting import CheckedStart, check_start
from xdist.resolve.resolved import resolve
from xdist.run.folder import RunFolder
from xdist.run.lasting import lasting
from xdist.study.estimate import unusual_settings
from xdist.tasks.catalog import said_labels


@lasting()
def start(
    kind: Literal["train", "evaluate"],
    path: Path,
    overrides: Sequence[str],
    ranks: int | None,
    dry_run: bool,
    as_json: bool = False,
) -> None:
    """Exit with the run's code; `as_json`: the run's state and its scores, instead of a table of these."""
    if ranks:
        overrides = (*overrides, f"runtime.ranks={ranks}")
    if dry_run:
        _show(check_start(kind, path, overrides))
        return
    ended = (api.train if kind == "train" else api.evaluate)(path, *overrides)
    if as_json:
        print_json({"run": ended.name, "folder": ended.folder, "state": ended.state, "scores": ended.scores})
        sys.exit(local.FINISHED if ended.state == "finished" else local.UNFINISHED)
    if ended.state != "finished":
        sys.exit(local.UNFINISHED)
    if not ended.started:
        folder = RunFolder(ended.folder)
        click.echo(f"{ended.name} is finished: {folder.scores if folder.scores.exists() else folder.model}")
        for line in ended.notes:
            click.echo(line)
    show_ending(ended.folder)


def _show(start: CheckedStart) -> None:
    run, subsets = start.resolved.run, start.resolved.subsets
    read = (*(subsets.trained if start.work == "train" else ()), *subsets.aligned)
    blanked = find_without_gold(run.data.root, read, subsets.evaluation, start.resolved.parallel_before)
    scored = Counter(subset.task.name for subset in subsets.evaluation)
    click.echo(f"run {run.name} in {run.folder} (now: {start.resolved.folder.state})")
    entries = run.train.by_subset if run.train else []
    trained = [
        f"{one} ({entry.rows:,} examples)" if entry.rows else str(one)
        for one, (_, entry) in zip(subsets.training, entries, strict=True)
    ]
    click.echo(f"train on      {', '.join(trained) or 'nothing'}")
    click.echo(f"evaluate on   {', '.join(f'{name} in {count} languages' for name, count in scored.items()) or 'nothing'}")
    if blanked:
        click.echo(f"              {without_gold_line(blanked)}")
    told = said_labels(subset.task for subset in (*subsets.training, *subsets.evaluation))
    for line in (*told, *(overlaps(start.request.lineage, (one.task for one in subsets.evaluation)) if start.request else ())):
        click.echo(f"              {line}")
    if start.work == "train":
        for line in unusual_settings(run.train, start.resolved.model, run.data, subsets.training):
            click.echo(f"unusual setting {line}")
    click.echo(f"deepspeed     {start.resolved.deepspeed_file or 'auto: by size and precision, where it starts'}")
    click.echo(f"command       {local.shown(local.command(start.work, start.path, start.overrides, run.runtime.ranks))}")


def repeat_step(path: Path, overrides: tuple[str, ...], ranks: int | None, step: int) -> NoReturn:
    """Make one step of a run again and exit with the code of its ranks. Raises UserError where the folder holds another run."""
    run = resolve(load_run(path, overrides), "train").run
    sys.exit(local.only_step(step, path, overrides, ranks or run.runtime.ranks))
