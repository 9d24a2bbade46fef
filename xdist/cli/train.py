"""xdist train: one run on the ranks of this machine."""

from pathlib import Path

import click

from xdist.cli.options import dry_run, run_arguments


@click.command(name="train", short_help="Train a run (and evaluate it, if it has that section).")
@run_arguments
@click.option("--ranks", type=click.IntRange(1), help="Processes on this machine; short for runtime.ranks=N.")
@click.option("--only-step", type=click.IntRange(0), help="Repeat this step from the checkpoint before it; write nothing.")
@dry_run
def command(path: Path, overrides: tuple[str, ...], ranks: int | None, only_step: int | None, dry_run: bool) -> None:
    """Train the run that RUN.yaml describes, then evaluate it where it has a section `evaluate`.

    Starts `xdist/train.py RUN.yaml` on the ranks of this machine, at most one per GPU; they see the GPUs that
    CUDA_VISIBLE_DEVICES names. Started again, it resumes where it stopped.
    Exit codes: 0 finished, 75 stopped and saved (start it again), 2 wrong input, 1 failed.

    \b
    Example:
      xdist train jobs/runs/demo/target.yaml --ranks 2 folder=runs/plain train.steps=20 robust.method=none
      xdist train jobs/runs/demo/target.yaml --only-step 12     the loss of each row of a step that went wrong
    """
    from xdist.cli.starting import repeat_step, start

    if only_step is not None and not dry_run:
        repeat_step(path, overrides, ranks, only_step)
    start("train", path, overrides, ranks, dry_run)
