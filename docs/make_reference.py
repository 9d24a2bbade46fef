"""Write docs/reference.md: every command and every key, from the commands and types themselves.

python docs/make_reference.py
"""

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from pathlib import Path

import click

from xdist.cli import main
from xdist.cli.keys import by_file
from xdist.config.described import DescribedSection
from xdist.metrics import METRICS

YAML = """By the core rules of YAML 1.2, both in files and in overrides `a.b=c`, and a number that begins with a zero is text:
`1e-4`, `0x1F` and `0o17` are numbers; `no`, `on`, `1:30`, `2024-05-01`, `1_000` and `010` are text; `true` and `false` alone
are booleans. Where a key wants text, a word is taken as it is written (`labels: [0, 1, no]`, `account: 12345`); where it wants
a number or a boolean, text is refused, quoted or not. A key may appear once; keys are text as they are written.

In paths `~`, `~name`, `$NAME` and `${NAME}` are expanded; an unknown one is refused. A path on another machine
(`python`, `scratch` of a cluster) is written out. A file has at most 1,000,000 characters, 100,000 values with what aliases
stand for, and 50 levels; a study 10,000 combinations."""
PLACE = Path(__file__).with_name("reference.md")


def reference() -> str:
    parts = ["# Reference", "Written by `docs/make_reference.py` from the commands and types themselves.", "## Commands"]
    context = click.Context(main, info_name="xdist")
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command
        parts += _command(command, f"xdist {name}", context)
    parts += ["## How YAML is read", YAML]
    files = by_file()
    run, methods, study, tasks = (_tables(files.pop(name)) for name in ("run", "robust", "study", "tasks"))
    parts += ["## Run", "A run file; any key may be given on the command line as `a.b=c`. `xdist keys` shows the same.", *run]
    parts += ["## Robust", "`robust` is one of these, or a list of them; `{method: none}` is plain training.", *methods]
    parts += ["## Study", *study]
    parts += ["## Cluster", "Each kind, its `kind:` first.", *(part for one in files.values() for part in _tables(one))]
    parts += ["## Your own tasks", "The file that `data.tasks` names.", *tasks]
    parts += ["## Metrics", "What `metric` of a task may be; a task is ranked by the first number.", _metrics()]
    return "\n\n".join(parts) + "\n"


def _metrics() -> str:
    rows = ["| metric | numbers | of tasks | |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{one.name}` | {', '.join(one.numbers)} | {', '.join(one.families)} | {one.about} |"
        for one in METRICS.ours().values()
    ]
    return "\n".join(rows)


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name.split()[-1], parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"### {name}"
    yield f"`{name} {usage}`"
    text = cleandoc(command.help or "").replace("\b\n", "\n")
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line for line in paragraph.splitlines() if line.strip()]
        if lines and lines[0].rstrip().endswith(":") and lines[0].startswith("Example"):
            examples = "\n".join(line.strip() for line in lines[1:])
            yield f"```\n{examples}\n```"
        elif lines:
            yield " ".join(line.strip() for line in lines)
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    if options:
        yield "\n".join(f"- `{_option(option, context)}` {_about(option, context)}".rstrip() for option in options)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found
            yield from _command(found, f"{name} {inner}", context)


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join(option.opts)
    return names if option.is_flag else f"{names} {option.make_metavar(context)}"


def _about(option: click.Option, context: click.Context) -> str:
    """What it is for, then its range and default as `--help` gives them."""
    extra = option.get_help_extra(context)
    more = [f"`{extra['range']}`"] if "range" in extra else []
    more += [f"default: `{extra['default']}`"] if "default" in extra else []
    more += ["required"] if "required" in extra else []
    said = re.sub(r"  \[default: (.*)\]$", r" (default: \1)", option.help or "")
    return f"{said} [{'; '.join(more)}]" if more else said


def _tables(found: Iterable[DescribedSection]) -> Iterator[str]:
    """The table of each section."""
    for section in found:
        if section.name:
            yield f"### {section.name}"
        if section.about:
            yield section.about
        rows = ["| key | value | default | |", "| --- | --- | --- | --- |"]
        rows += [f"| `{key.key}` | {_cell(key.value)} | {_cell(key.default)} | {_cell(key.about)} |" for key in section.keys]
        yield "\n".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PLACE.write_text(reference(), encoding="utf-8")
