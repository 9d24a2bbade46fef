"""xdist report: tables and a page from the scores of runs."""

from pathlib import Path

import click


@click.command(name="report", short_help="Tables and one HTML page from the scores of runs.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN_FOLDER...")
@click.option("--out", type=click.Path(path_type=Path), default=Path("report"), show_default=True, help="Folder to write to.")
@click.option("--title", default="Scores by language", show_default=True)
def command(runs: tuple[Path, ...], out: Path, title: str) -> None:
    """Write report.html, report.md and report.json from the scores of run folders, and print the table.

    \b
    Example:
      xdist report runs/demo/intermediate runs/demo/target --out runs/demo
    """
    from rich.console import Console

    from xdist.report import write_report
    from xdist.report.scores import read_scores
    from xdist.report.terminal import print_scores

    paths = write_report(runs, out, title=title)
    print_scores(read_scores(runs), Console())
    click.echo(f"report: {paths.html}")
