"""xdist score: the official metrics of a prediction folder."""

from pathlib import Path
from typing import Any

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import described_tasks, given_plugins


@click.command(name="score", short_help="Score a folder of predictions of any system.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--gold", required=True, type=click.Path(path_type=Path), help="Data root: the official files, with gold.")
@click.option("--split", type=click.Choice(["dev", "test"]), default="test", show_default=True)
@click.option("--partial", is_flag=True, help="Score a task although some of its languages are missing.")
@described_tasks
@given_plugins
@click.option("--out", type=click.Path(path_type=Path), help="Also write the scores there, as scores.json.")
@json_option
def command(
    folder: Path, gold: Path, split: Any, partial: bool, described: Path | None, out: Path | None, as_json: bool
) -> None:
    """Score FOLDER, which is in the submission layout: a folder per task, a file test-xx.EXT per language; or in that of XGLUE,
    NER/xx.prediction and so on.

    Predictions that are missing, superfluous, repeated or of the wrong size are errors; so are unknown candidates, and gold
    that is blanked. Of sentence retrieval, line i of a file names the row, from 0, of xx-en.xx that translates line i of
    xx-en.en.

    \b
    Example:
      xdist score runs/xtreme-r/squad/predictions --gold download
      xdist score runs/news/predictions --gold download --tasks my-tasks.yaml
    """
    from xdist import api
    from xdist.evaluation.official import average_scores
    from xdist.files import write_json
    from xdist.report.scores import coverage
    from xdist.run.tables import Table, show
    from xdist.tasks.catalog.xglue import UNDERSTANDING

    scores = api.score(folder, gold, split, partial, described)
    if out:
        write_json(out, scores)
    if as_json:
        print_json({**scores, "xtreme_r": _averages(scores) if split == "test" else None})
        return
    for name, entry in scores["tasks"].items():
        metrics = list(entry["mean"])
        table = Table("language", ">examples", *(f">{metric}" for metric in metrics), title=f"{name} ({split})")
        for code, found in entry["languages"].items():
            table.row(code, f"{found['count']:,}", *(f"{found[metric]:.2f}" for metric in metrics))
        table.section()
        part = coverage(len(entry["languages"]), entry["of"])
        table.row(f"mean over {part}" if part else "mean", "", *(f"{entry['mean'][metric]:.2f}" for metric in metrics))
        for what, value in entry.get("transfer", {}).items():
            table.row(what.replace("_", " "), "", *(f"{value:.2f}" if m == entry["metric"] else "" for m in metrics))
        show(table)
        for note in entry["notes"]:
            click.echo(f"{name}: {note}")
        click.echo(f"signature: {entry['signature']}")
        click.echo()
    for note in scores.get("notes", ()):
        click.echo(note)
    if means := scores.get("averages"):
        show(f"XGLUE, {split}: " + ", ".join(f"{name.removeprefix('xglue ')} {one['of']}" for name, one in means.items()))
    if set(scores["tasks"]) <= set(UNDERSTANDING):
        return
    if split != "test":
        click.echo("XTREME-R: –, since it is of the test sets")
        return
    show(f"XTREME-R: {average_scores(scores)} (official: QA as mean of EM and F1), {average_scores(scores, 'f1')} (QA as F1)")


def _averages(scores: dict[str, Any]) -> dict[str, float | None]:
    from xdist.evaluation.official import average_scores

    return {"official": average_scores(scores).value, "qa_as_f1": average_scores(scores, "f1").value}
