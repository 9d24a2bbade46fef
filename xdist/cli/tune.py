"""xdist tune: learning rates and lengths of a run, tried on dev."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import at_once, dry_run, run_arguments, seeds_of
from xdist.run.lasting import lasting


class Several(click.ParamType[tuple[Any, ...]]):
    """Numbers with commas between them."""

    name = "number,…"

    def __init__(self, kind: Callable[[str], Any], least: float) -> None:
        self.kind, self.least = kind, least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"'{value}' is not a list of numbers such as 1e-5,3e-5", param, ctx)
        if not all(self.least <= number < 1e12 for number in numbers):
            self.fail(f"'{value}': each is {self.least:g} or more", param, ctx)
        return numbers


@click.command(name="tune", short_help="Try a few learning rates and lengths of a run on English dev; write its best YAML.")
@run_arguments
@click.option("--rates", type=Several(float, 1e-9), default=(), help="Learning rates; default: those usual for the encoder.")
@click.option("--epochs", type=Several(float, 1e-6), default=(), help="Lengths in epochs; default: the run's own.")
@click.option("--steps", type=Several(int, 1), default=(), help="Lengths in steps, instead.")
@click.option("--warmup", "warmups", type=Several(float, 0), default=(), help="Warm-ups; default: the run's own.")
@seeds_of("Seeds of each trial.")
@click.option(
    "--budget", type=click.IntRange(1), metavar="UPDATES", help="Refuse a grid that takes more updates than this in total."
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: RUN-tuned.yaml]")
@click.option("--force", is_flag=True, help="Overwrite that file.")
@json_option
@at_once
@dry_run
@lasting()
def command(
    path: Path,
    overrides: tuple[str, ...],
    rates: tuple[float, ...],
    epochs: tuple[float, ...],
    steps: tuple[int, ...],
    warmups: tuple[float, ...],
    seeds: int,
    budget: int | None,
    out: Path | None,
    force: bool,
    as_json: bool,
    at_once: int,
    dry_run: bool,
) -> None:
    """Train the run of RUN.yaml with each learning rate (and length, and warm-up), score each on dev, and write the YAML of the
    best, with all trials in comments. The trials are also in FOLDER-tune/tune.json, FOLDER being that of the run.

    Trials are compared on dev sets of `train.select`, or on English: never on test sets, and never on a language that is not
    trained on. Started again, it resumes where it stopped; with more rates, earlier trials are kept.

    \b
    Example:
      xdist tune RUN.yaml --dry-run
      xdist tune RUN.yaml --rates 1e-5,3e-5,1e-4 --epochs 3,10 --out tuned.yaml
    """
    from xdist.errors import UserError
    from xdist.files import write_json
    from xdist.study.running import STOPPED, check_study, run_study
    from xdist.study.show import unusual_in
    from xdist.study.state import standings
    from xdist.study.trials import next_rates, trial_lines
    from xdist.study.tuning import Grid, Tuning

    if epochs and steps:
        raise UserError("give either --epochs or --steps")
    tuning = Tuning(path, overrides, Grid(rates, epochs, steps, warmups, seeds), out)
    found = standings(tuning.graph, tuning.facts)
    if budget is not None:
        tuning.check_budget(found, budget)
    if any(now.state != "finished" for now in found.values()) and tuning.out.exists() and not force:
        raise UserError(f"{tuning.out}: already exists; --force overwrites it, --out FILE writes another file")
    if dry_run:
        check_study(tuning.graph, at_once)
        click.echo(f"judged on   {tuning.judged_on}")
        for node in tuning.graph.nodes.values():
            click.echo(f"trial       {node.run.name}: {found[node.key].state}, {node.updates or '?'} updates")
        click.echo(f"writes      {tuning.out}")
        for line in unusual_in(tuning.graph, found):
            click.echo(line)
        return
    tuning.begin()
    code = run_study(tuning.graph, tuning.facts, at_once)
    tuning.facts.remember()
    if code == STOPPED:
        click.echo("stopped; the same command resumes", err=True)
        sys.exit(code)
    trials = tuning.judged(standings(tuning.graph, tuning.facts))
    facts = tuning.facts_of(trials)
    write_json(tuning.folder / "tune.json", facts)
    if trials[0].score is not None:
        tuning.write(trials, force)
    if as_json:
        print_json(facts)
    else:
        click.echo(f"on {tuning.judged_on}:")
        for line in trial_lines(trials):
            click.echo(f"  {line}")
    if trials[0].score is None:
        sys.exit(code)
    if not as_json:
        if further := next_rates(trials):
            click.echo(further)
        click.echo(f"xdist train {tuning.out}")
