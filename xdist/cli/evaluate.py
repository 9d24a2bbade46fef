"""xdist evaluate: score a run's model, or any model folder, on the ranks of this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from xdist.cli.as_json import json_option
from xdist.cli.completion import keys_of
from xdist.cli.options import dry_run
from xdist.errors import UserError

# The options that describe the run of a model folder, and the keys that say the same of a RUN.yaml.
KEYS = {
    "tasks": ("--task", "evaluate.tasks"),
    "root": ("--data", "data.root"),
    "languages": ("--languages", "evaluate.languages"),
    "split": ("--split", "evaluate.split"),
    "labels": ("--labels", "model.labels"),
    "plugins": ("--plugin", "plugins"),
    "out": ("--out", "folder"),
}


@click.command(name="evaluate", short_help="Score a run's model, or any model folder, on tasks and languages.")
@click.argument("overrides", nargs=-1, metavar="[RUN.yaml] [a.b=c]...", shell_complete=keys_of("run"))
@click.option("--model", metavar="FOLDER", help="Score this model instead of a run's, with the options down to --out.")
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="What to score it on; may be repeated.")
@click.option("--data", "root", metavar="ROOT", type=click.Path(path_type=Path), help="The official files; default: download.")
@click.option("--languages", metavar="A,B", help="Only these; default: all whose files exist.")
@click.option("--split", type=click.Choice(["dev", "test"]), help="Default: test.")
@click.option(
    "--labels", metavar="A,B", help="The labels of its outputs, in their order, if its config.json does not name them."
)
@click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE", help="A plugin with such a task or its metric; may be repeated."
)
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The run's folder; default: runs/evaluate/MODEL-TASKS.",
)
@click.option("--ranks", type=click.IntRange(1), help="Processes on this machine; short for runtime.ranks=N.")
@dry_run
@json_option
def command(
    overrides: tuple[str, ...], model: str | None, ranks: int | None, dry_run: bool, as_json: bool, **described: Any
) -> None:
    """Evaluate the run that RUN.yaml describes on every task and language of its section `evaluate`, or the model in FOLDER:
    fine-tuned elsewhere, exported, or the `model/` of a run.

    Starts `xdist/evaluate.py RUN.yaml` on the ranks of this machine, at most one per GPU. What has a score is not
    computed again. A test set without gold is predicted; once it has gold, the same command scores these predictions. A
    test set whose texts changed is predicted again, and predictions of another model or with other options are refused.
    A run without a section `train` evaluates its backbone unchanged, with the head that it was fine-tuned with; retrieval
    needs no head.

    \b
    Example:
      xdist evaluate jobs/runs/demo/target.yaml --ranks 2 evaluate.languages=[de,sw]
      xdist evaluate --model models/target --task cldr-spans --data runs/demo/benchmark --languages de,sw
    """
    from xdist.cli.starting import start

    given = {name: value for name, value in described.items() if value}
    if model is not None:
        path, overrides = _described(model, overrides, **given)
    elif not overrides:
        raise UserError("give RUN.yaml, or a model: --model FOLDER --task NAME")
    elif given:
        option, key = KEYS[next(iter(given))]
        raise UserError(f"{option}: goes with --model; what {overrides[0]} describes has {key}=…")
    else:
        path, overrides = Path(overrides[0]), overrides[1:]
    start("evaluate", path, overrides, ranks, dry_run, as_json)


def _described(
    model: str,
    more: tuple[str, ...],
    tasks: Sequence[str] = (),
    languages: str = "all",
    labels: str | None = None,
    **others: Any,
) -> tuple[Path, tuple[str, ...]]:
    """The run of a model folder, from the options as they were typed."""
    from xdist.launch.starting import of_model

    if more and "=" not in more[0]:
        raise UserError(f"{more[0]}: give either RUN.yaml or --model")
    if not tasks:
        raise UserError(f"{model}: say what to score it on: --task NAME (`xdist tasks` lists them)")
    chosen = languages if languages == "all" else languages.split(",")
    return of_model(model, tasks, more, languages=chosen, labels=labels.split(",") if labels else None, **others)
