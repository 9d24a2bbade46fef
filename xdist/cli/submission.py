"""xdist submission: predictions of runs in the folders that a benchmark takes."""

from pathlib import Path
from typing import Any

import click


@click.command(name="submission", short_help="Predictions of runs, in the folders that a benchmark takes.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN_FOLDER...", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(["dev", "test"]), default="test", show_default=True)
def command(runs: tuple[Path, ...], out: Path, split: Any) -> None:
    """Copy the predictions of RUN_FOLDERs, one for each task, into the folder OUT: of XTREME-R xnli/test-xx.tsv and so on, of
    XGLUE NER/xx.prediction and so on. `xdist score OUT` reads both.

    \b
    Example:
      xdist submission runs/xtreme-r/xnli runs/xtreme-r/squad submission
      xdist submission runs/xglue/* submission --split dev
    """
    from xdist.evaluation.collected import collect_predictions

    for one in collect_predictions(runs, out, split):
        missing = f"; missing: {', '.join(one.missing)}" if one.missing else ""
        click.echo(f"{out / one.folder}: {len(one.there)} of {len(one.task.languages)} languages{missing}")
