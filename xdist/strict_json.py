"""JSON of any origin: a value, or one line that says where the text is no JSON that can be worked with.

In addition to invalid JSON that is: brackets too deep for a reader, integers that no field of ours can hold, and half
surrogate pairs, which are JSON but no text.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from xdist.errors import UserError

LONGEST = 40  # digits of an integer: one of 128 bits still fits
_TOKENS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+|[\[\]{}]', re.DOTALL)
_DEEP = 100  # brackets within each other; where a text is too deep to be read, the position of this many is named
_HALF = re.compile(r"\\u[dD][89a-fA-F]")

Pairs = Callable[[list[tuple[str, Any]]], Any]


class _Long(Exception):
    """An integer of too many digits."""


def parsed(raw: bytes | str, path: object, line: int | str | None = None, pairs: Pairs | None = None) -> Any:
    """The JSON value that `raw` holds. Messages name `path` and the line in it: `line`, where `raw` is that line of the file,
    else the one in `raw` where the fault begins. `pairs` makes something of the keys and values of each object; else it is a
    `dict`.

    Raises UserError: not UTF-8, not JSON, too many brackets within each other (a thousand or so), an integer of more than
    LONGEST digits, half a surrogate pair.
    """

    def wrong(at: int, what: str) -> UserError:
        return UserError(f"{path}:{line or text.count(chr(10), 0, at) + 1}: {what}")

    text = raw if isinstance(raw, str) else _decoded(raw, path, line)
    text = text.removeprefix("\ufeff")
    try:
        value = json.JSONDecoder(object_pairs_hook=pairs, parse_int=_integer).decode(text)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise wrong(error.pos, f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise wrong(_deep(text), "not JSON that can be read: too many brackets within each other") from None
    except _Long:
        raise wrong(
            _first_place(text, _is_long), f"not JSON that can be read: an integer of more than {LONGEST} digits"
        ) from None
    except UnicodeEncodeError:
        raise wrong(_first_place(text, _is_half), "not text: half a surrogate pair (\\ud800 to \\udfff alone)") from None
    return value


def _decoded(raw: bytes, path: object, line: int | str | None) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = line or raw.count(b"\n", 0, error.start) + 1
        raise UserError(not_utf8(f"{path}:{place}", raw[error.start], error.start)) from None


def not_utf8(where: str, byte: int, offset: int, of: str = "file") -> str:
    return f"{where}: not UTF-8: byte 0x{byte:02x} at offset {offset} of the {of}"


def _integer(digits: str) -> int:
    if len(digits) > LONGEST:
        raise _Long
    return int(digits)


def _is_long(token: str) -> bool:
    return token[0] in "-0123456789" and len(token) > LONGEST


def _is_half(token: str) -> bool:
    if token[0] != '"':
        return False
    try:
        json.loads(token).encode()
    except UnicodeEncodeError:
        return True
    return False


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    return ((match.start(), match[0]) for match in _TOKENS.finditer(text))


def _first_place(text: str, wrong: Callable[[str], bool]) -> int:
    """Where the first token that is wrong begins."""
    return next((at for at, token in _tokens(text) if wrong(token)), 0)


def _deep(text: str) -> int:
    depth = 0
    for at, token in _tokens(text):
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        if depth > _DEEP:
            return at
    return 0
