"""xdist compare: is one run better than another, where, and how sure is that?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import given_plugins

if TYPE_CHECKING:
    from xdist.report.comparison import Compared
    from xdist.study.comparing import TaskDifferences


@click.command(name="compare", short_help="Two runs, or sets of seeds: differences with 95 % intervals.")
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.option(
    "--also-a", "more_a", multiple=True, type=click.Path(path_type=Path), help="Another seed of A; in the order of B's."
)
@click.option("--also-b", "more_b", multiple=True, type=click.Path(path_type=Path), help="Another seed of B.")
@click.option("--task", "only", help="Only this task.")
@given_plugins
@json_option
def command(a: Path, b: Path, more_a: tuple[Path, ...], more_b: tuple[Path, ...], only: str | None, as_json: bool) -> None:
    """Compare run folders A and B on the tasks that both have scores of: A - B in points of each task's metric.

    Per language and resource group, with 95 % intervals of the paired bootstrap over examples (and seeds, where there are
    several). p-values are corrected for the number of rows after Holm, intervals are not; * marks what both show. No interval
    leaves the bounds of the metric. One seed a side is about these two models, not about training.

    \b
    Example:
      xdist compare runs/demo/target-multilingual-adversarial runs/demo/target-english-none
    """
    from xdist import api
    from xdist.report.numbers import probability
    from xdist.report.terminal import comparison_table
    from xdist.run.tables import show

    tasks = api.compare((a, *more_a), (b, *more_b), only)
    sides = {"A": (a, *more_a), "B": (b, *more_b)}
    differ = _differing(a, b)
    if as_json:
        print_json(
            {
                **{name.lower(): folders for name, folders in sides.items()},
                "differ": {key: {"a": first, "b": second} for key, (first, second) in differ.items()},
                "tasks": [_facts(task) for task in tasks],
            }
        )
        return
    for name, folders in sides.items():
        show(f"{name}: {_name_runs(folders)}")
    shown = "; ".join(f"{key} {_value(first)} | {_value(second)}" for key, (first, second) in differ.items())
    show(f"A | B differ in: {shown or 'nothing that a description says'}")
    if len(sides["A"]) == 1:
        show("One seed a side: about these two models, not about training.")
    for task in tasks:
        click.echo()
        if task.metric is None or task.comparison is None:
            click.echo(f"{task.task}: {task.absent}")
            continue
        less = ", less is better" if task.metric.lower_is_better else ""
        show(comparison_table(f"{task.task} ({task.metric.headline}, {task.split}{less})", task.comparison))
        if task.comparison.shuffled is not None:
            p = probability(task.comparison.shuffled)
            equals = "" if p.startswith("<") else "= "
            show(f"these models, all examples together: p {equals}{p} (approximate randomisation)")


def _differing(a: Path, b: Path) -> dict[str, tuple[Any, ...]]:
    """In what the first run of each side was trained otherwise; seeds are shown with the names."""
    from xdist.config import recorded_run
    from xdist.config.differing import TRAINED, differing_keys
    from xdist.run.folder import RunFolder

    runs = [recorded_run(RunFolder(place).config) for place in (a, b)]
    return differing_keys(runs, [name for name in TRAINED if name != "seed"])


def _name_runs(folders: Sequence[Path]) -> str:
    from xdist.config import recorded_run
    from xdist.run.folder import RunFolder

    runs = [recorded_run(RunFolder(place).config) for place in folders]
    return "; ".join(f"{run.name}, seed {run.seed} ({place})" for run, place in zip(runs, folders, strict=True))


def _value(value: Any) -> str:
    return "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _facts(task: "TaskDifferences") -> dict[str, Any]:
    comparison = task.comparison
    about = {"task": task.task, "split": task.split, "metric": task.metric.headline if task.metric else None}
    if comparison is None:
        return {**about, "absent": task.absent}
    rows = {"groups": comparison.groups, "languages": comparison.languages}
    by_metric = {name: {key: _row(row) for key, row in of.items()} for name, of in rows.items()}
    return {**about, **by_metric, "no_gold": comparison.blank, "p_of_these_models": comparison.shuffled}


def _row(row: "Compared") -> dict[str, Any]:
    now = row.interval
    about = {"a": row.a, "b": row.b, "difference": now.difference, "low": now.low, "high": now.high}
    return {**about, "p_holm": row.p, "shown": row.shown, "examples": row.count, "languages": row.languages}
