"""Write docs/reference.md: every command and every key, from the commands and types themselves.

python docs/make_reference.py
"""

import re
import types
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from xdist.cli import main
from xdist.config.method import METHODS, OPTIONS, Method
from xdist.config.run import Run
from xdist.config.study import Study
from xdist.launch.scheduler import KINDS
from xdist.metrics import METRICS
from xdist.tasks.catalog.user import UserTasks

YAML = """By the core rules of YAML 1.2, files and overrides `a.b=c` alike, and a number that begins with a zero is text:
`1e-4`, `0x1F` and `0o17` are numbers; `no`, `on`, `1:30`, `2024-05-01`, `1_000` and `010` are text; `true` and `false` alone
are booleans. Where a key wants text, a word is taken as it is written (`labels: [0, 1, no]`, `account: 12345`); where it wants
a number or a boolean, text is refused, quoted or not. A key may stand once; keys are text as they are written.

In paths `~`, `~name`, `$NAME` and `${NAME}` are put in; what stands for nothing is refused. A path on another machine
(`python`, `scratch` of a cluster) is written out. A file has at most 1,000,000 characters, 100,000 values with what aliases
stand for, and 50 levels; a study 10,000 combinations."""
PLACE = Path(__file__).with_name("reference.md")
NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true, false",
    Path: "path",
    Any: "anything",
    type(None): "null",
}
BOTH = "section, or a list of them"
SIGNS = {
    "ge": "≥ {}",
    "gt": "> {}",
    "le": "≤ {}",
    "lt": "< {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
}


def reference() -> str:
    parts = ["# Reference", "Written by `docs/make_reference.py` from the commands and types themselves.", "## Commands"]
    context = click.Context(main, info_name="xdist")
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command
        parts += _command(command, f"xdist {name}", context)
    parts += ["## How YAML is read", YAML]
    parts += ["## Run", "A run file; any key may be given on the command line as `a.b=c`.", *_sections(Run)]
    parts += ["## Robust", "`robust` is one of these, or a list of them; `{method: none}` is plain training."]
    methods = {name: method for name, method in METHODS.ours().items() if name != "none"}
    parts += [part for name, method in methods.items() for part in _table(method, f"robust, method {name}")]
    parts += ["## Study", *_sections(Study)]
    parts += ["## Cluster", *(part for kind, one in KINDS.ours().items() for part in _sections(one.options, f"kind: {kind}"))]
    parts += ["## Tasks of your own", "The file that `data.tasks` names.", *_sections(UserTasks, "tasks file")]
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
        yield "\n".join(f"- `{_option(option, context)}` {option.help or ''}".rstrip() for option in options)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found
            yield from _command(found, f"{name} {inner}", context)


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join(option.opts)
    return names if option.is_flag else f"{names} {option.make_metavar(context)}"


def _sections(model: type[BaseModel], name: str = "", done: set[type[BaseModel]] | None = None) -> Iterator[str]:
    """The table of a section, then those of the sections inside it."""
    done = done if done is not None else set()
    yield from _table(model, name)
    for key, field in model.model_fields.items():
        for inner in _models_in(field.annotation):
            if inner not in done and inner is not Method and key != "robust":
                done.add(inner)
                yield from _sections(inner, f"{name}.{key}".strip("."), done)


def _table(model: type[BaseModel], name: str) -> Iterator[str]:
    if name:
        yield f"### {name}"
    if model.__doc__ and "pydantic" not in model.__doc__.lower():
        yield " ".join(model.__doc__.partition(f"\n{OPTIONS}")[0].split())
    rows = ["| key | value | default | |", "| --- | --- | --- | --- |"]
    for key, field in model.model_fields.items():
        said = field.description or ""
        rows.append(f"| `{key}` | {_cell(_told(field))} | {_cell(_default(field))} | {_cell(said)} |")
    yield "\n".join(rows)


def _told(field: FieldInfo) -> str:
    limits = [
        sign.format(_number(getattr(one, key)))
        for one in field.metadata
        for key, sign in SIGNS.items()
        if getattr(one, key, None) is not None
    ]
    return ", ".join([_type(field.annotation), *limits])


def _number(limit: float) -> str:
    """A round one as a power of ten: 10^12."""
    zeros = len(str(int(limit))) - len(str(int(limit)).rstrip("0"))
    if zeros < 6 or limit != int(limit):
        return str(int(limit)) if limit == int(limit) else str(limit)
    head = str(int(limit))[:-zeros]
    return f"{head.removesuffix('1')}10^{zeros}" if head in ("1", "-1") else f"{head}·10^{zeros}"


def _type(annotation: Any) -> str:
    if annotation in NAMES:
        return NAMES[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in inner)).replace("section or list of section", BOTH)
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"{_type(inner[1])} by name"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return str(annotation)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PLACE.write_text(reference(), encoding="utf-8")
