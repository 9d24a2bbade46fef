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


def study_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """STUDY.yaml and any number of overrides a.b=c."""
    function = click.argument("overrides", nargs=-1, metavar="[a.b=c]...", shell_complete=keys_of("study"))(function)
    return click.argument("path", metavar="STUDY.yaml", type=click.Path(path_type=Path))(function)


def cluster_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """--cluster CLUSTER.yaml as `cluster_path`, --set a=c as `settings`, --after JOB as `after`."""
    for option in (
        click.option("--after", multiple=True, metavar="JOB", help="Start when this job has succeeded; may be repeated."),
        click.option(
            "--set", "settings", multiple=True, metavar="a=c", help="Override a key of CLUSTER.yaml; may be repeated."
        ),
        click.option(
            "--cluster",
            "cluster_path",
            required=True,
            metavar="CLUSTER.yaml",
            type=click.Path(path_type=Path),
            help="The cluster file.",
        ),
    ):
        function = option(function)
    return function


described_tasks: Decorator = click.option(
    "--tasks",
    "described",
    metavar="TASKS.yaml",
    type=click.Path(path_type=Path),
    help="Also your own tasks that this file describes, as data.tasks of a run names it.",
)


def given_plugins(function: Callable[..., Any]) -> Callable[..., Any]:
    """--plugin FILE, for commands that look at what others may have made and import nothing that is named there: what
    these files provide is available while `function` runs."""

    @wraps(function)
    def with_them(*arguments: Any, files: tuple[str, ...], **options: Any) -> Any:
        from xdist import plugins

        with plugins.with_plugins(files):
            return function(*arguments, **options)

    return click.option(
        "--plugin",
        "files",
        multiple=True,
        metavar="FILE",
        help="A plugin to import, as `plugins` of a run names it: only plugins given here are executed; may be repeated.",
    )(with_them)


def say_wrong(wrong: Sequence[Exception], all_of_them: bool) -> None:
    """A line on each run folder that cannot be read; where none can, that is the end of the command."""
    for error in wrong:
        click.echo(f"xdist: {error}", err=True)
    if wrong and all_of_them:
        click.get_current_context().exit(2)


dry_run: Decorator = click.option("--dry-run", is_flag=True, help="Check everything and show what would be done; do nothing.")


def seeds_of(what: str) -> Decorator:
    """--seeds N, for commands that train the same several times."""
    return click.option("--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help=what)


at_once: Decorator = click.option(
    "--at-once",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Do this many runs at a time, each with an equal share of the visible GPUs, or of the cores where there are none.",
)
