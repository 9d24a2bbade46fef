"""xdist score: the official metrics of a prediction folder."""

from pathlib import Path
from typing import Any

import click

from xdist.cli.options import described_tasks, given_plugins


@click.command(name="score", short_help="Score a folder of predictions that anyone made.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--gold", required=True, type=click.Path(path_type=Path), help="Data root: the official files, with gold.")
@click.option("--split", type=click.Choice(["dev", "test"]), default="test", show_default=True)
@click.option("--partial", is_flag=True, help="Score a task although some of its languages are missing.")
@described_tasks
@given_plugins
@click.option("--out", type=click.Path(path_type=Path), help="Also write the scores there, as scores.json.")
def command(folder: Path, gold: Path, split: Any, partial: bool, described: Path | None, out: Path | None) -> None:
    """Score FOLDER, which is in the submission layout: a folder per task, a file test-xx.EXT per language.

    Predictions that are missing, too many, twice or of the wrong size are errors; so are unknown candidates, and gold that is
    blanked. Of sentence retrieval, line i of a file names the row, from 0, of xx-en.xx that translates line i of xx-en.en.

    \b
    Example:
      xdist score runs/xtreme-r/squad/predictions --gold download
      xdist score runs/news/predictions --gold download --tasks my-tasks.yaml
    """
    from rich.console import Console
    from rich.table import Table

    from xdist import api
    from xdist.evaluation.official import average
    from xdist.files import write_json
    from xdist.report.scores import over

    scores = api.score(folder, gold, split, partial, described)
    if out:
        write_json(out, scores)
    console = Console()
    for name, entry in scores["tasks"].items():
        metrics = list(entry["mean"])
        table = Table("language", "examples", *metrics, title=f"{name} ({split})")
        for code, found in entry["languages"].items():
            table.add_row(code, f"{found['count']:,}", *(f"{found[metric]:.2f}" for metric in metrics))
        table.add_section()
        part = over(len(entry["languages"]), entry["of"])
        table.add_row(f"mean over {part}" if part else "mean", "", *(f"{entry['mean'][metric]:.2f}" for metric in metrics))
        for what, value in entry.get("transfer", {}).items():
            table.add_row(what.replace("_", " "), "", *(f"{value:.2f}" if m == entry["metric"] else "" for m in metrics))
        console.print(table)
        for note in entry["notes"]:
            console.print(f"{name}: {note}", markup=False, highlight=False, soft_wrap=True)
    if split != "test":
        console.print("XTREME-R: –, since it is of the test sets")
        return
    console.print(f"XTREME-R: {average(scores)} (official: QA as mean of EM and F1), {average(scores, 'f1')} (QA as F1)")
