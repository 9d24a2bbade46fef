"""xdist tasks: what can be trained and evaluated, and whether the files at hand are the official ones."""

from pathlib import Path

import click

from xdist.cli.options import described_tasks, given_plugins

data_root = click.Path(path_type=Path)


@click.group(name="tasks", short_help="List the tasks, their languages, metrics and files.", invoke_without_command=True)
@click.option("--data", type=data_root, help="Data root: also say how many languages' files are there.")
@described_tasks
@given_plugins
@click.pass_context
def command(context: click.Context, data: Path | None, described: Path | None) -> None:
    """List every task: family, metric, languages, what it is trained on, where its files are looked for, licence.

    \b
    Example:
      xdist tasks --data download
      xdist tasks --data download --tasks my-tasks.yaml
      xdist tasks --plugin weather.py
      xdist tasks check download
    """
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table

    from xdist.tasks.catalog import known

    table = Table("task", "family", "metric", "languages", "trained on", "files", "licence", show_lines=True)
    for task in known(described).values():
        patterns = [f"{split}: {' '.join(names)}" for split, names in task.files.items()]
        if task.hub:
            patterns.append(f"or hub/{task.hub.id} ({task.hub.config})")
        languages = str(len(task.languages))
        if data:
            there = {split: sum(task.is_there(data, split, code) for code in task.languages_of(split)) for split in task.files}
            languages = "\n".join(f"{split}: {count} of {len(task.languages_of(split))}" for split, count in there.items())
        trained_on = " → ".join(task.trained_on) or ("itself" if "train" in task.files else "")
        table.add_row(task.name, task.family, task.metric or "–", languages, trained_on, "\n".join(patterns), task.licence)
    Console().print(table)


@command.command(short_help="Count what is there against the official counts.")
@click.argument("root", type=data_root)
@click.option("--task", "names", multiple=True, help="Only this task; may be given several times.")
@described_tasks
@given_plugins
def check(root: Path, names: tuple[str, ...], described: Path | None) -> None:
    """Open every file of every task below ROOT and count its examples per language against the official counts.

    Exits 2 when a file cannot be read as what it should be, or holds no example. Other counts than the official ones are shown,
    not refused: a part of a set is a fine thing to develop on. So are test sets without gold, which are predicted, not scored.

    \b
    Example:
      xdist tasks check download --task udpos
      xdist tasks check download --tasks my-tasks.yaml
    """
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from xdist.errors import UserError
    from xdist.tasks.catalog import known, task
    from xdist.tasks.check import check as check_file
    from xdist.tasks.check import files_there

    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    console, notes = Console(), Console(stderr=True)
    there = files_there(root, [task(name, described) for name in names] or known(described).values())
    table = Table("task", "split", "language", "examples", "official", "gold", "")
    broken: list[str] = []
    for entry, split, code in track(there, "reading", console=notes, transient=True, disable=not notes.is_terminal):
        try:
            found = check_file(entry, root, split, code)
        except UserError as error:
            broken.append(str(error))
            table.add_row(entry.name, split, code, "", "", "", "[red]cannot be read[/red]")
            continue
        table.add_row(
            *(entry.name, split, code, f"{found.count:,}"),
            f"{found.official:,}" if found.official is not None else "?",
            "yes" if found.gold else "no",
            found.remark,
        )
    console.print(table)
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise UserError(f"{broken[0]}{more}")
