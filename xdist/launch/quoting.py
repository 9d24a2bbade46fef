"""Values in the texts that schedulers read: quoted so that they stay values, or refused."""

import re
import shlex
from pathlib import Path

from yaml import SafeDumper, ScalarNode, dump

from xdist.errors import UserError


def sh(value: object) -> str:
    """One word of a POSIX shell, for any `value`."""
    text = str(value)
    if "\0" in text:
        raise UserError(f"{text!r}: a zero byte cannot be passed to a program")
    return shlex.quote(text)


class _Quoting(SafeDumper):
    """Writes every text between double quotes, where each letter that YAML takes for anything else is escaped."""


def _quoted(dumper: SafeDumper, text: str) -> ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Quoting.add_representer(str, _quoted)


def yaml(value: object) -> str:
    """One quoted scalar or one flow collection on one line of YAML, for any strings in `value`."""
    plain = str(value) if isinstance(value, Path) else value
    return dump(
        plain, Dumper=_Quoting, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False
    ).strip()


def block(text: str, indent: int) -> str:
    """`text` as a value of YAML that people can read: a literal block of lines `indent` deep, where all its letters are plain
    there; else one quoted scalar, as for U+0085, which YAML takes for the end of a line."""
    if not re.fullmatch(r"[^\s\W][^\0]*[^\n]\n", text) or not all(one == "\n" or one.isprintable() for one in text):
        return yaml(text)
    return "|\n" + "".join(f"{' ' * indent}{line}\n" if line else "\n" for line in text[:-1].split("\n")).rstrip("\n")


def dollars(value: str) -> str:
    """A value in which Kubernetes expands no `$(NAME)`."""
    return value.replace("$", "$$")


def directive(path: Path) -> Path:
    """`path`, where it may be between double quotes in a scheduler's directive, which know neither escapes nor `%`."""
    if not re.fullmatch(r"[\w ./@+=,:~-]+", str(path)) or ".." in path.parts:
        raise UserError(
            f"{str(path)!r}: a scheduler cannot be given such a path: letters, digits, spaces and . _ / @ + = , : ~ -"
        )
    return path
