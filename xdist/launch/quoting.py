"""Values in the texts that schedulers read: quoted so that they stay values, or refused."""

import re
import shlex
from pathlib import Path

from yaml import safe_dump as dump

from xdist.errors import UserError


def sh(value: object) -> str:
    """One word of a POSIX shell, whatever `value` holds."""
    text = str(value)
    if "\0" in text:
        raise UserError(f"{text!r}: a zero byte cannot be handed to a program")
    return shlex.quote(text)


def yaml(value: object) -> str:
    """One quoted scalar or one flow collection of quoted scalars on one line of YAML, whatever strings `value` holds."""
    plain = str(value) if isinstance(value, Path) else value
    return dump(
        plain, default_style='"', default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False
    ).strip()


def dollars(value: str) -> str:
    """A value in which Kubernetes expands no `$(NAME)`."""
    return value.replace("$", "$$")


def directive(path: Path) -> Path:
    """`path`, where it may stand between double quotes in a scheduler's directive, which know neither escapes nor `%`."""
    if not re.fullmatch(r"[\w ./@+=,:~-]+", str(path)) or ".." in path.parts:
        raise UserError(
            f"{str(path)!r}: a scheduler cannot be given such a path: letters, digits, spaces and . _ / @ + = , : ~ -"
        )
    return path
