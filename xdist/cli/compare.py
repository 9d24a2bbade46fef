"""xdist compare: is one run better than another, where, and how sure is that?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from xdist.evaluation.per_example import Scored


@click.command(name="compare", short_help="Two runs, or sets of seeds: differences with 95 % intervals.")
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.option(
    "--also-a", "more_a", multiple=True, type=click.Path(path_type=Path), help="Another seed of A; in the order of B's."
)
@click.option("--also-b", "more_b", multiple=True, type=click.Path(path_type=Path), help="Another seed of B.")
@click.option("--task", "only", help="Only this task.")
def command(a: Path, b: Path, more_a: tuple[Path, ...], more_b: tuple[Path, ...], only: str | None) -> None:
    """Compare run folders A and B on the tasks that both have scores of: A - B in points of each task's metric.

    Per language and resource group, with 95 % intervals of the paired bootstrap over examples (and seeds, where there are
    several); p-values are corrected for the number of rows after Holm; * marks what interval and p-value show. One run a side
    says nothing about other seeds.

    \b
    Example:
      xdist compare runs/demo/target-multilingual-adversarial runs/demo/target-english-none
    """
    from rich.console import Console

    from xdist.errors import UserError, unknown
    from xdist.evaluation.per_example import Gold, scored

    gold = Gold()
    systems = [[scored(folder, gold) for folder in folders] for folders in ((a, *more_a), (b, *more_b))]
    names = [name for name in systems[0][0] if all(name in run for system in systems for run in system)]
    if only and only not in names:
        raise UserError(unknown("task of both runs", only, names))
    if not names:
        raise UserError(f"{a} and {b}: no task was scored in both")
    console, where = Console(), f"{a} and {b}"
    asked = {name: [[run[name] for run in system] for system in systems] for name in ([only] if only else names)}
    absent = {name: next((one.absent for side in sides for one in side if one.absent), None) for name, sides in asked.items()}
    if all(absent.values()):
        raise UserError(f"{where}: {'; '.join(f'{name}: {reason}' for name, reason in absent.items())}")
    for name, sides in asked.items():
        if absent[name]:
            console.print(f"{name}: {absent[name]}\n", markup=False)
        else:
            _print(console, f"{where}: {name}", name, sides)


def _print(console: "Console", where: str, name: str, sides: list[list["Scored"]]) -> None:
    """The table of one task; `sides` are the runs of A and of B. Raises UserError, beginning with `where`, for runs that were
    scored on other splits or examples or by other metrics."""
    from xdist.errors import UserError
    from xdist.languages import by_size
    from xdist.report.comparison import compare
    from xdist.report.terminal import comparison_table

    every = [one for side in sides for one in side]
    splits, metrics = sorted({one.split for one in every}), sorted({one.scored_by for one in every})
    if len(splits) > 1:
        raise UserError(f"{where}: some were scored on {splits[0]}, some on {splits[1]}")
    if len(metrics) > 1:
        raise UserError(f"{where}: some were scored by {metrics[0]}, some by {metrics[1]}; evaluate those again")
    trained_on = sorted({code for one in every for code in one.trained_on})
    metric = every[0].metric
    try:
        first, second = ([one.rows for one in side] for side in sides)
        by_all = [code for code in every[0].languages if all(code in one.languages for one in every)]
        blank = by_size(code for code in by_all if not all(code in one.rows for one in every))
        found = compare(first, second, metric, trained_on, blank=blank)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    less = ", less is better" if metric.lower_is_better else ""
    console.print(comparison_table(f"{name} ({metric.headline}, {splits[0]}{less})", found))
    if found.shuffled is not None:
        console.print(f"these models, all examples together: p = {found.shuffled:.4f} (approximate randomisation)\n")
