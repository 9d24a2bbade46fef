"""xdist benchmark: a model on a complete suite of tasks, with one command."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xdist.cli.completion import keys_of
from xdist.cli.options import at_once, dry_run, seeds_of
from xdist.config.scoring_run import ROOT
from xdist.errors import UserError
from xdist.files import shipped
from xdist.run.lasting import lasting

if TYPE_CHECKING:
    from rich.console import Console

    from xdist.study.benchmark import PlannedBenchmark
    from xdist.study.benchmark_lines import ScoreLine
    from xdist.study.expansion import Graph
    from xdist.study.state import Standing

FOLDER = Path("runs/benchmark")
NAMES = sorted(path.stem for path in (shipped("jobs") / "suites").glob("*.yaml"))
PLAIN: dict[str, Any] = {"soft_wrap": True, "highlight": False, "markup": False}


@click.command(name="benchmark", short_help="Fine-tune and score a model on a suite of tasks, by one command.")
@click.argument("model", metavar="MODEL")
@click.argument("overrides", nargs=-1, metavar="[a.b=c]...", shell_complete=keys_of("run"))
@click.option("--suite", required=True, metavar="NAME", help=f"{', '.join(NAMES)}, or your own YAML.")
@click.option(
    "--data",
    "root",
    metavar="ROOT",
    type=click.Path(path_type=Path),
    default=ROOT,
    show_default=True,
    help="The official files.",
)
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Only this task of the suite; may be repeated.")
@click.option(
    "--languages", metavar="A,B", help="Only these, in any code or as a group (group:tail); all of the suite otherwise."
)
@seeds_of("Trainings of each recipe.")
@click.option("--no-train", is_flag=True, help="Score the model without training: retrieval, and tasks whose head it has.")
@click.option("--ranks", type=click.IntRange(1), help="Processes on this machine; short for runtime.ranks=N.")
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder for all output; default: runs/benchmark/SUITE-MODEL.",
)
@click.option("--write", is_flag=True, help="Write OUT/study.yaml and start nothing, for `xdist study submit`.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as lines of JSON, everything else to standard error.")
@at_once
@dry_run
@lasting()
def command(
    model: str,
    overrides: tuple[str, ...],
    suite: str,
    root: Path,
    tasks: tuple[str, ...],
    languages: str | None,
    seeds: int,
    no_train: bool,
    ranks: int | None,
    out: Path | None,
    write: bool,
    as_json: bool,
    at_once: int,
    dry_run: bool,
) -> None:
    """Prepare, fine-tune by the published recipe of each task, score in every language whose files exist, report.

    MODEL is a folder or a hub id. A recipe trains once per seed; started again, finished parts are skipped. Tasks and
    languages without files are reported, not scored. OUT/scores.jsonl has a line per score and per mean;
    OUT/study.yaml is the study that was run, for `xdist study` and `xdist report`. Exit codes as of `xdist study run`.

    \b
    Example:
      xdist benchmark runs/demo/encoder --suite sib200 --data download
      xdist benchmark xlm-roberta-base --suite xtreme-r --task udpos --task panx --seeds 3 --ranks 4
      xdist benchmark models/encoder --suite retrieval --languages yo,wo,sw --json
    """
    from rich.console import Console

    from xdist.study import Facts, expand
    from xdist.study.benchmark import plan_benchmark
    from xdist.study.benchmark_files import Asked
    from xdist.study.running import STOPPED, check_study, run_study
    from xdist.study.show import print_standings
    from xdist.study.state import standings
    from xdist.study.suite import load_suite

    console = Console(stderr=as_json)
    chosen = tuple(word.strip() for word in languages.split(",") if word.strip()) if languages else ()
    more = (*overrides, f"runtime.ranks={ranks}") if ranks else overrides
    loaded = load_suite(suite)
    folder = out or FOLDER / f"{loaded.name}-{_name(model)}"
    asked = Asked(model, loaded, root, folder, tasks, chosen, seeds, not no_train, more)
    planned = plan_benchmark(asked)
    facts = Facts(folder / "digests.json")
    graph = expand(planned.study, facts)
    check_study(graph, at_once)
    _say_absent(planned, console)
    if dry_run:
        print_standings(graph, standings(graph, facts), console)
        return
    planned.write()
    facts.remember()
    if write:
        path = folder / planned.study.path.name
        console.print(f"study: {path}; on a cluster: xdist study submit {path} --cluster CLUSTER.yaml", **PLAIN)
        return
    code = run_study(graph, facts, at_once)
    facts.remember()
    found = standings(graph, facts)
    if code == STOPPED:
        click.echo("stopped; start the same command again to resume", err=True)
        sys.exit(code)
    if code:
        print_standings(graph, found, console)
    from xdist.study.benchmark_lines import FILE, benchmark_lines, text_of

    lines = benchmark_lines(planned, graph, found)
    _write(folder / FILE, text_of(lines), as_json)
    _show(lines, console)
    console.print(f"scores: {folder / FILE}", **PLAIN)
    _report(planned, graph, found, console)
    sys.exit(code)


def _name(model: str) -> str:
    """How a folder of results is named after a model."""
    from xdist.config.scoring_run import run_of_checkpoint

    return str(run_of_checkpoint(model, ())["name"])


def _write(path: Path, text: str, to_stdout: bool) -> None:
    from xdist.files import write_text

    write_text(path, text)
    if to_stdout:
        click.echo(text, nl=False)


def _say_absent(planned: "PlannedBenchmark", console: "Console") -> None:
    for name, reason in planned.absent.items():
        console.print(f"not scored: {name}: {reason}", **PLAIN)
    for name, codes in planned.missing.items():
        console.print(f"{name}: {len(codes)} languages have no files: {', '.join(codes)}", **PLAIN)


def _show(lines: "list[ScoreLine]", console: "Console") -> None:
    from xdist.run.tables import Table, show
    from xdist.study.benchmark_lines import SUITE, format_points, table

    head, *rows = table(lines)
    printed = Table(*head[:2], *(f">{name}" for name in head[2:]), keys=2)
    for row in rows:
        printed.row(*row)
    if rows:
        show(printed, console)
    for line in lines:
        if "variant" in line:
            whole = format_points(line) or f"{line['tasks']} of {line['of']} tasks are complete, so there is none"
            what = "mean over tasks" if line["mean"] == SUITE else f"mean of {line['mean']}"
            text = f"{what} ({line['variant']}): {whole}"
            console.print(text, **PLAIN)
        if "remark" in line and "task" not in line:
            console.print(line["remark"], **PLAIN)


def _report(planned: "PlannedBenchmark", graph: "Graph", found: "Mapping[str, Standing]", console: "Console") -> None:
    """Write the report; say why not, where nothing has scores: the scores are what was requested."""
    from xdist.study.reporting import write_results
    from xdist.study.results import study_results

    results = replace(study_results(graph, found), title=planned.asked.suite.suite.title)
    try:
        console.print(f"report: {write_results(results, graph.study.folder / 'report').html}", **PLAIN)
    except UserError as error:
        console.print(f"no report: {error}", **PLAIN)
