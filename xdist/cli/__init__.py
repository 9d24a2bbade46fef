"""The command line: one small file per command; each parses, calls one function, prints."""

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from xdist.config.fitting import expand_path
from xdist.errors import RunError, UserError, not_given, one_line, unknown
from xdist.run import libraries
from xdist.version import __version__

# Modules are named, not imported: `xdist --help` and `xdist tasks` need no torch.
COMMANDS = (
    "align",
    "benchmark",
    "bundle",
    "checkpoint",
    "cite",
    "compare",
    "demo",
    "docs",
    "doctor",
    "evaluate",
    "export",
    "fetch",
    "init",
    "keys",
    "logs",
    "merge",
    "monitor",
    "plan",
    "prepare",
    "report",
    "score",
    "status",
    "study",
    "submission",
    "submit",
    "tasks",
    "train",
    "tune",
)


class Lazy(click.Group):
    """Imports a command's module when the command is requested, and shows a user's error as one line."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """A terminal that lacks a letter shows another one; libraries say nothing but errors."""
        libraries.silence()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
        return super().main(*arguments, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return _with_paths(import_module(f"xdist.cli.{name}").command) if name in COMMANDS else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(unknown("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            vars(error)["message"] = one_line(error.message)  # click repeats what was typed as it is
            raise
        except (UserError, RunError) as error:
            if not error.told:
                click.echo(f"xdist: {error}", err=True)
            ctx.exit(2 if isinstance(error, UserError) else 1)
        except Exception as error:
            if not (line := not_given(error)):
                raise
            click.echo(f"xdist: {line}", err=True)
            ctx.exit(1)


class _Path(click.Path):
    """A path in which `~` and variables are put in, which a shell does not do behind `--out=`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(expand_path(value) if isinstance(value, str) else value, param, ctx)
        except ValueError as error:
            raise UserError(f"{param.opts[0] if param else 'path'}: {error}") from None


def _with_paths(command: click.Command) -> click.Command:
    """`command`, and those inside it, taking every path so."""
    for param in command.params:
        if type(param.type) is click.Path:
            taken = _Path()
            vars(taken).update(vars(param.type))
            param.type = taken
    for inner in getattr(command, "commands", {}).values():
        _with_paths(inner)
    return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True})
@click.version_option(__version__, prog_name="xdist")
def main() -> None:
    """Train multilingual encoders on intermediate tasks, robustly, and score them on all of XTREME-R.

    \b
    xdist demo                     everything once, small, without a download
    xdist train RUN.yaml           one run of one description, on the ranks of this machine
    xdist study run STUDY.yaml     many runs of one description, each done once
    """
