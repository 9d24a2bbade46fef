"""xdist demo: everything once, small, without a download."""

import sys
from pathlib import Path

import click

from xdist.errors import UserError
from xdist.run.lasting import lasting


@click.command(name="demo", short_help="A complete example: a real encoder, 50 languages, a report.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
@click.option(
    "--intermediate",
    type=click.Choice(["multilingual", "english"]),
    default="multilingual",
    show_default=True,
    help="Languages of the intermediate training.",
)
@click.option(
    "--robust",
    type=click.Choice(["adversarial", "none"]),
    default="adversarial",
    show_default=True,
    help="Perturbation in fine-tuning the target.",
)
@click.option("--ranks", type=click.IntRange(1), help="Processes on this machine; default: two, or one on one GPU.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; do nothing.")
@lasting()
def command(folder: Path, intermediate: str, robust: str, ranks: int | None, dry_run: bool) -> None:
    """Train and score a small real encoder on a benchmark of fifty languages, both made on this machine.

    Prepares, trains on an intermediate task, fine-tunes a target on English robustly, evaluates all fifty languages on
    all ranks and writes report.html. Started again it resumes, or says that it is finished.

    \b
    Example:
      xdist demo
      xdist demo --intermediate english --robust none      the plain baseline, in its own folders
    """
    from rich.console import Console

    try:
        from xdist.demo import pipeline
    except ModuleNotFoundError as error:
        raise UserError(f"the demo needs {error.name}: pip install 'xdist-xtreme[demo]'") from None
    from xdist.launch.local import command as launch_command
    from xdist.launch.local import shown
    from xdist.report.reading import read_scores
    from xdist.report.terminal import print_scores
    from xdist.run import devices

    ranks = ranks or min(2, len(devices.visible_gpus()) or 2)
    demo = pipeline.plan(folder, intermediate, robust, ranks)  # type: ignore[arg-type]
    if not demo.done():
        devices.check(ranks)
    if dry_run:
        for stage in demo.stages:
            click.echo(shown(launch_command("train", stage.description, stage.overrides, ranks)))
        return
    if demo.done():
        click.echo("the demo is done; nothing was started")
    else:
        result = pipeline.run(demo)
        if isinstance(result, int):
            sys.exit(result)
        print_scores(read_scores([stage.run.folder for stage in demo.stages]), Console())
    click.echo(f"report: {demo.report / 'report.html'}")
