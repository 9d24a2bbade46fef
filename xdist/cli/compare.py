"""xdist compare: is one run better than another, where, and how sure is that?"""

from pathlib import Path

import click

from xdist.cli.options import given_plugins


@click.command(name="compare", short_help="Two runs, or sets of seeds: differences with 95 % intervals.")
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.option(
    "--also-a", "more_a", multiple=True, type=click.Path(path_type=Path), help="Another seed of A; in the order of B's."
)
@click.option("--also-b", "more_b", multiple=True, type=click.Path(path_type=Path), help="Another seed of B.")
@click.option("--task", "only", help="Only this task.")
@given_plugins
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

    from xdist import api
    from xdist.report.terminal import comparison_table

    console = Console()
    for one in api.compare((a, *more_a), (b, *more_b), only):
        if one.metric is None or one.comparison is None:
            console.print(f"{one.task}: {one.absent}\n", markup=False)
            continue
        less = ", less is better" if one.metric.lower_is_better else ""
        console.print(comparison_table(f"{one.task} ({one.metric.headline}, {one.split}{less})", one.comparison))
        if one.comparison.shuffled is not None:
            p = f"p = {one.comparison.shuffled:.4f} (approximate randomisation)"
            console.print(f"these models, all examples together: {p}\n")
