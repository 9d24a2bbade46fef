"""Values in the texts that schedulers read: quoted so that they stay values, or refused."""

import json
import re
import shlex
from pathlib import Path

from xdist.errors import UserError


def sh(value: object) -> str:
    """One word of a POSIX shell, whatever `value` holds."""
    text = str(value)
    if "\0" in text:
        raise UserError(f"{text!r}: a zero byte cannot be handed to a program")
    return shlex.quote(text)


def yaml(value: object) -> str:
    """One scalar or one flow collection of YAML, whatever `value` holds: JSON in ASCII is YAML too."""
    return json.dumps(str(value) if isinstance(value, Path) else value)


def directive(path: Path) -> Path:
    """`path`, where it may stand between double quotes in a scheduler's directive, which know neither escapes nor `%`."""
    if not re.fullmatch(r"[\w ./@+=,:~-]+", str(path)) or ".." in path.parts:
        raise UserError(
            f"{str(path)!r}: a scheduler cannot be given such a path: letters, digits, spaces and . _ / @ + = , : ~ -"
        )
    return path
