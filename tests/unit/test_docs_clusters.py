"""Every command in docs/clusters.md is one that xdist understands."""

import re
import shlex
from pathlib import Path

import click
import pytest

from xdist.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
FENCED = [
    line.split("#")[0].strip() for block in re.findall(r"^```\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()
]
INLINE = [code for code in re.findall(r"`(xdist [^`]+)`", PAGE) if re.search(r"[./-]", code)]  # not a mere name
COMMANDS = [line for line in FENCED + INLINE if line.startswith("xdist ")]


def understood(words: list[str]) -> None:
    """Raises click.UsageError for an unknown command or option, or a missing argument; runs nothing."""
    command: click.Command = main
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command = found
    command.make_context(command.name, words)


def test_page_names_commands() -> None:
    assert len(COMMANDS) >= 10
    for wrong in (["submitt", "RUN.yaml"], ["study", "submit", "STUDY.yaml", "--clutser", "c.yaml"], ["submit", "RUN.yaml"]):
        with pytest.raises(click.UsageError):
            understood(wrong)


@pytest.mark.parametrize("line", COMMANDS)
def test_command_is_understood(line: str) -> None:
    understood(shlex.split(line)[1:])
