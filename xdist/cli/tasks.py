"""xdist tasks: what can be trained and evaluated."""

from pathlib import Path

import click


@click.command(name="tasks", short_help="List the tasks, their languages, metrics and files.")
@click.option("--data", type=click.Path(path_type=Path), help="Data root: also say which languages' files are there.")
def command(data: Path | None) -> None:
    """List every task: family, metric, languages, and where its files are looked for.

    \b
    Example:
      xdist tasks --data runs/demo/benchmark
    """
    from rich.console import Console
    from rich.table import Table

    from xdist.tasks.catalog import TASKS

    table = Table("task", "family", "metric", "languages", "files")
    for task in TASKS.values():
        patterns = "\n".join(f"{split}: {' '.join(names)}" for split, names in task.files.items())
        languages = str(len(task.languages))
        if data:
            there = {
                split: sum(all(path.is_file() for path in task.paths(data, split, code)) for code in task.languages)
                for split in task.files
            }
            languages = "\n".join(f"{split}: {count} of {len(task.languages)}" for split, count in there.items())
        table.add_row(task.name, task.family, task.metric, languages, patterns)
    Console().print(table)
