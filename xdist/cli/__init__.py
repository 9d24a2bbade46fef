"""The command line: one small file per command; each parses, calls one function, prints."""

from importlib import import_module

import click

from xdist.errors import RunError, UserError, unknown
from xdist.version import __version__

# Modules are named, not imported: `xdist --help` and `xdist tasks` need no torch.
COMMANDS = (
    "checkpoint",
    "compare",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "fetch",
    "logs",
    "monitor",
    "plan",
    "prepare",
    "report",
    "score",
    "status",
    "study",
    "submit",
    "tasks",
    "train",
)


class Lazy(click.Group):
    """Imports a command's module when the command is asked for, and shows a user's error as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return import_module(f"xdist.cli.{name}").command if name in COMMANDS else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(unknown("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (UserError, RunError) as error:
            if not error.told:
                click.echo(f"xdist: {error}", err=True)
            ctx.exit(2 if isinstance(error, UserError) else 1)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="xdist")
def main() -> None:
    """Train multilingual encoders on intermediate tasks, robustly, and score them on all of XTREME-R.

    \b
    xdist demo                     everything once, small, without a download
    xdist train RUN.yaml           one run of one description, on the ranks of this machine
    xdist study run STUDY.yaml     many runs of one description, each done once
    """
