"""Arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def run_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """RUN.yaml and any number of overrides a.b=c."""
    function = click.argument("overrides", nargs=-1, metavar="[a.b=c]...")(function)
    return click.argument("path", metavar="RUN.yaml", type=click.Path(path_type=Path))(function)


dry_run: Decorator = click.option("--dry-run", is_flag=True, help="Check everything and say what would be done; do nothing.")
