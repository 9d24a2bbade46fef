"""Arguments that several commands share."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from xdist.cli.completion import keys_of

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def run_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """RUN.yaml and any number of overrides a.b=c."""
    function = click.argument("overrides", nargs=-1, metavar="[a.b=c]...", shell_complete=keys_of("run"))(function)
    return click.argument("path", metavar="RUN.yaml", type=click.Path(path_type=Path))(function)


def cluster_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """--cluster CLUSTER.yaml as `cluster_path`, --set a=c as `settings`, --after JOB as `after`."""
    for option in (
        click.option("--after", multiple=True, metavar="JOB", help="Begin when this job has ended well; may be repeated."),
        click.option(
            "--set", "settings", multiple=True, metavar="a=c", help="Override a key of CLUSTER.yaml; may be repeated."
        ),
        click.option(
            "--cluster",
            "cluster_path",
            required=True,
            metavar="CLUSTER.yaml",
            type=click.Path(path_type=Path),
            help="Where it shall run.",
        ),
    ):
        function = option(function)
    return function


described_tasks: Decorator = click.option(
    "--tasks",
    "described",
    metavar="TASKS.yaml",
    type=click.Path(path_type=Path),
    help="Also the tasks of your own that this file describes, as data.tasks of a run names it.",
)


def given_plugins(function: Callable[..., Any]) -> Callable[..., Any]:
    """--plugin FILE, for commands that look at what somebody else may have made and import nothing that is named there: what
    these files bring is there while `function` is at work."""

    @wraps(function)
    def with_them(*arguments: Any, files: tuple[str, ...], **options: Any) -> Any:
        from xdist import plugins

        with plugins.given(files):
            return function(*arguments, **options)

    return click.option(
        "--plugin",
        "files",
        multiple=True,
        metavar="FILE",
        help="Import this, as `plugins` of a run names it: only what you give here is executed; may be repeated.",
    )(with_them)


def say_wrong(wrong: Sequence[Exception], all_of_them: bool) -> None:
    """A line on each run folder that cannot be read; where none can, that is the end of the command."""
    for error in wrong:
        click.echo(f"xdist: {error}", err=True)
    if wrong and all_of_them:
        click.get_current_context().exit(2)


dry_run: Decorator = click.option("--dry-run", is_flag=True, help="Check everything and say what would be done; do nothing.")
