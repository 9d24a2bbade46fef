"""xdist tasks: what can be trained and evaluated, and whether the files at hand are the official ones."""

from pathlib import Path

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import described_tasks, given_plugins
from xdist.cli.task_shown import files_by_split, files_text, of_demo, show, task_facts, unchecked_files
from xdist.formats.layout import FORMS

data_root = click.Path(path_type=Path)


@click.group(name="tasks", short_help="List the tasks; `tasks show NAME` describes one.", invoke_without_command=True)
@click.option(
    "--data",
    type=data_root,
    default=Path("download"),
    show_default=True,
    help="Data root: where files are searched.",
)
@described_tasks
@given_plugins
@json_option
@click.pass_context
def command(context: click.Context, data: Path, described: Path | None, as_json: bool) -> None:
    """List every task, a line each: family, metric, number of languages, and whether its files exist; the demo's last.
    `xdist tasks show NAME` says files, counts, licence and source of one, and the YAML to train it.

    \b
    Example:
      xdist tasks --data download
      xdist tasks --data download --tasks my-tasks.yaml
      xdist tasks --plugin weather.py
      xdist tasks show udpos
      xdist tasks check download
      xdist tasks inspect download/news/train-sw.csv
    """
    if context.invoked_subcommand is not None:
        return
    from xdist.run.tables import Table
    from xdist.run.tables import show as show_table
    from xdist.tasks.catalog import known_tasks

    entries = sorted(known_tasks(described).values(), key=of_demo)
    if as_json:
        print_json({"data": data, "tasks": [task_facts(task, data) for task in entries]})
        return
    table = Table("task", "family", "metric", ">languages", "there")
    for task in entries:
        mark = "*" if unchecked_files(task) else ""
        table.row(
            task.name, task.family, task.metric or "–", str(len(task.languages)), files_text(files_by_split(task, data)) + mark
        )
    show_table(table)
    if any(map(unchecked_files, entries)):
        show_table("* not compared with a published file; `xdist tasks show NAME` says of what")


command.add_command(show)


@command.command(short_help="Inspect a file and print the YAML that reads it.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", type=data_root, help="Data root that contains the file; default: found from the file's path.")
@click.option("--family", type=click.Choice([*FORMS, "masked-lm"]), help="The kind of task; default: found from the columns.")
@click.option("--name", default="", help="Name of the task; default: that of its file.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write it into this file, which must not exist.")
def inspect(file: Path, data: Path | None, family: str | None, name: str, out: Path | None) -> None:
    """Print the description of a task that reads FILE, and the files in its folder of other languages and splits, with the
    first examples as they are understood. The output is a file of tasks: a run names it under data.tasks.

    \b
    Example:
      xdist tasks inspect download/news/train-sw.csv
      xdist tasks inspect download/news/train-sw.csv --out news-tasks.yaml
      xdist tasks inspect download/ntrex/eng.txt --family sentence-retrieval
    """
    from xdist.errors import UserError, one_line
    from xdist.files import write_text
    from xdist.tasks.catalog.inspected import inspect_file

    if out and out.exists():
        raise UserError(f"{out}: already exists")
    seen = inspect_file(file, data, family or "", name)
    lines = [f"# data: {{root: {seen.root}}}", *(f"# note: {line}" for line in seen.remarks), seen.text.rstrip()]
    lines += [f"# {number}. {one_line(line)}" for number, line in enumerate(seen.first, start=1)]
    click.echo("\n".join(lines))
    if out:
        write_text(out, "\n".join(lines) + "\n")


@command.command(short_help="Compare the number of rows with the official number.")
@click.argument("root", type=data_root)
@click.option("--task", "names", multiple=True, help="Only this task; may be given several times.")
@described_tasks
@given_plugins
def check(root: Path, names: tuple[str, ...], described: Path | None) -> None:
    """Open every file of every task below ROOT and count its examples per language against the official counts.

    Exits 2 when a file cannot be read as what it should be, or holds no example. Other counts than the official ones are shown,
    not refused: a part of a set is useful for development. So are test sets without gold, which are predicted, not scored.

    \b
    Example:
      xdist tasks check download --task udpos
      xdist tasks check download --tasks my-tasks.yaml
    """
    from rich.console import Console
    from rich.progress import track
    from rich.text import Text

    from xdist.errors import UserError
    from xdist.run.tables import Table
    from xdist.run.tables import show as show_table
    from xdist.tasks.catalog import known_tasks, task
    from xdist.tasks.check import check_split as check_file
    from xdist.tasks.check import files_there

    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    notes = Console(stderr=True)
    there = files_there(
        root, [task(name, described, root=root) for name in names] or known_tasks(described, root=root).values()
    )
    table = Table("task", "split", "language", ">examples", ">official", "gold", "~", keys=3)
    broken: list[str] = []
    for entry, split, code in track(there, "reading", console=notes, transient=True, disable=not notes.is_terminal):
        try:
            found = check_file(entry, root, split, code)
        except UserError as error:
            broken.append(str(error))
            table.row(entry.name, split, code, "", "", "", Text("cannot be read", style="red"))
            continue
        table.row(
            *(entry.name, split, code, f"{found.count:,}"),
            f"{found.official:,}" if found.official is not None else "?",
            "yes" if found.gold else "no",
            found.remark,
        )
    show_table(table)
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise UserError(f"{broken[0]}{more}")
