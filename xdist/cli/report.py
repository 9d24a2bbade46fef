"""xdist report: from the scores of runs, or of a study, to a page with the answer first."""

from pathlib import Path

import click

from xdist.cli.options import given_plugins


@click.command(name="report", short_help="One HTML page, tables and data from a study or from the scores of runs.")
@click.argument("places", nargs=-1, required=True, metavar="STUDY.yaml|RUN_FOLDER...")
@click.option("--against", metavar="BASELINE", help="The baseline: a run folder, or a condition of the study.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: report; a study's: its folder]")
@click.option("--title", help="Heading of the page.")
@click.option("--tensorboard", is_flag=True, help="Also write figures and HParams for TensorBoard, into OUT/tensorboard.")
@click.option(
    "--extra",
    type=click.Path(path_type=Path),
    metavar="ROWS.json",
    help="Published scores, or those of a language model, as rows marked 'not run here'; nothing is tested with them.",
)
@given_plugins
def command(
    places: tuple[str, ...], against: str | None, out: Path | None, title: str | None, tensorboard: bool, extra: Path | None
) -> None:
    """Write report.html, report.md, report.json, languages.csv and, for comparisons, tables/*.tex and figures/*.svg.

    Of a study (and overrides a.b=c, the same as for `xdist study run`): the differences of its conditions from its baseline by
    resource group, with 95 % intervals, before anything else. Of run folders: with --against the same, runs that differ in
    their seed alone being seeds of one condition; without it their scores side by side.

    \b
    Example:
      xdist report jobs/studies/demo.yaml
      xdist report runs/demo/target-multilingual-adversarial --against runs/demo/target-english-none --out runs/demo/compared
      xdist report runs/demo/intermediate-multilingual runs/demo/target-multilingual-adversarial --out runs/demo/both
    """
    from rich.console import Console

    from xdist import api
    from xdist.report.terminal import print_scores
    from xdist.run.tables import show

    reported = api.report(places, out, against, title, tensorboard=tensorboard, extra=extra)
    if reported.scores is not None:
        print_scores(reported.scores, Console())
    for sentence in reported.sentences:
        show(sentence)
    for line in reported.left_out:
        click.echo(f"xdist: skipped: {line}", err=True)
    click.echo(f"report: {reported.html}")
