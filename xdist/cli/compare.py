"""xdist compare: is one run better than another, where, and how sure is that?"""

from pathlib import Path

import click


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
    several); p-values are corrected for the number of rows after Holm. One run a side says nothing about other seeds.

    \b
    Example:
      xdist compare runs/demo/target-multilingual-adversarial runs/demo/target-english-none
    """
    from rich.console import Console

    from xdist.errors import UserError, unknown
    from xdist.evaluation.per_example import Gold, scored
    from xdist.report.comparison import compare
    from xdist.report.terminal import comparison_table

    gold = Gold()
    systems = [[scored(folder, gold) for folder in folders] for folders in ((a, *more_a), (b, *more_b))]
    names = [name for name in systems[0][0] if all(name in run for system in systems for run in system)]
    if only and only not in names:
        raise UserError(unknown("task of both runs", only, names))
    if not names:
        raise UserError(f"{a} and {b}: no task was scored in both")
    console = Console()
    for name in [only] if only else names:
        first = systems[0][0][name]
        try:
            sides = [[run[name].rows for run in system] for system in systems]
            found = compare(sides[0], sides[1], first.task.metric, first.trained_on)
        except ValueError as error:
            raise UserError(f"{a} and {b}: {name}: {error}") from None
        console.print(comparison_table(f"{name} ({first.task.metric}, {first.split})", found))
        console.print(f"these models, all examples together: p = {found.shuffled:.4f} (approximate randomisation)\n")
