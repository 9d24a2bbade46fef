"""xdist study power: what a study could show, known before it is run."""

from pathlib import Path

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import study_arguments
from xdist.cli.study_read import facts_in


@click.command(name="power", short_help="The smallest difference that a study would show, and the gain from more data.")
@study_arguments
@click.option(
    "--pilot",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Run folders, or the folder of a study: the spread of their scores is used. Default: the study's own finished runs.",
)
@click.option("--studies", type=click.IntRange(10, 10_000), default=60, show_default=True, help="Simulated for each design.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the simulation.")
@json_option
def command(path: Path, overrides: tuple[str, ...], pilot: tuple[Path, ...], studies: int, seed: int, as_json: bool) -> None:
    """The smallest difference that the design would show with 80 % power after the report's correction, and what twice the
    seeds, languages, examples or tasks would gain. The spread of scores comes from pilot runs, else from the study
    (`power`); no run is needed. Of test sets with the same sentences in all languages, the part due to the sentence counts
    once.

    \b
    Example:
      xdist study power jobs/studies/demo.yaml --studies 20
      xdist study power jobs/studies/answer-robust.yaml --pilot runs/studies/sib200-robust
    """
    from rich.console import Console

    from xdist.config import load_study
    from xdist.run.tables import show
    from xdist.study import expand
    from xdist.study.power import larger_designs, power
    from xdist.study.power_design import design_of, pilot_in, pilot_of, spreads_of
    from xdist.study.power_show import AS_IT_IS, content, design_lines, meaning, table
    from xdist.study.state import standings

    study = load_study(path, overrides)
    facts = facts_in(study.folder)
    graph = expand(study, facts)
    design = design_of(graph)
    runs = pilot_in(pilot) if pilot else pilot_of(graph, standings(graph, facts))
    spreads = spreads_of(design, graph, runs)
    found = {AS_IT_IS: power(design, spreads, studies, seed)}
    for label, other in larger_designs(design):
        click.echo(f"simulating {label}", err=True)
        of_tasks = {task.name: spreads[task.name.removesuffix(" 2")] for task in other.tasks}
        found[label] = power(other, of_tasks, studies, seed)
    if as_json:
        print_json({"study": study.name, **content(design, spreads, found)})
        return
    console = Console()
    for line in design_lines(design, spreads):
        show(line, console)
    show(table(design, found), console)
    for line in meaning(design, found):
        show(line, console)
