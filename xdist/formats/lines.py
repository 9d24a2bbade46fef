"""Text and JSON files, read strictly: UTF-8 or an error that names the file, the line and the byte.

Lines end at a line feed, with or without a carriage return before it; no other character ends a line, because published
sentences contain U+0085, U+2028 and the like. A byte order mark at the start of a file is dropped.
"""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from xdist.errors import UserError

T = TypeVar("T")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end), one at a time. Raises UserError: no such file, not UTF-8."""
    offset = 0
    with _open(path) as file:
        for number, raw in enumerate(file, start=1):
            text = _decode(raw, f"{path}:{number}", offset)
            offset += len(raw)
            yield number, (text.removeprefix("\ufeff") if number == 1 else text).removesuffix("\n").removesuffix("\r")


def read_json(path: Path, unique: bool = False) -> Any:
    """The one JSON value of a file. Raises UserError: no such file, not UTF-8, not JSON (with line and column); with `unique`
    for a key that stands twice in an object, of which JSON readers keep the last."""
    with _open(path) as file:
        raw = file.read()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(_not_utf8(f"{path}:{line}", raw[error.start], error.start)) from None
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=partial(_unique, path) if unique else None)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON: {error.msg} at column {error.colno}") from None


def _unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UserError(f"{path}: {key}: this key stands here twice")
        found[key] = value
    return found


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object), one JSON object a line. Raises UserError: as `read_json`, and for a line that is no
    object."""
    for number, line in read_lines(path):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from None
        if not isinstance(record, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, found {type(record).__name__}")
        yield number, record


def field(record: Mapping[str, Any], name: str, kind: type[T], where: str) -> T:
    """`record[name]`, which must be a `kind`. Raises UserError that starts with `where` and names the nearest field."""
    if not isinstance(record, Mapping):
        raise UserError(f"{where}: expected an object with field '{name}', found {type(record).__name__}")
    if name not in record:
        raise UserError(f"{where}: no field '{name}'{nearest(name, record)}")
    value = record[name]
    # bool is a subclass of int, and `true` is not a label or an offset.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{where}: field '{name}' must be {kind.__name__}, found {type(value).__name__} {value!r:.40}")
    return value


def nearest(name: str, found: Mapping[str, Any] | list[str]) -> str:
    """The end of a message about something missing: the nearest name that is there, and all of them."""
    names = [str(key) for key in found]
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; nearest: '{close[0]}'" if close else ""
    return f"{hint} (found: {', '.join(names) or 'none'})"


def _open(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        folder = Path(path).parent
        siblings = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        close = get_close_matches(Path(path).name, siblings, n=1, cutoff=0.5)
        raise UserError(f"{path}: no such file{f'; nearest: {close[0]!r}' if close else ''}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a file") from None


def _decode(raw: bytes, where: str, offset: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(_not_utf8(where, raw[error.start], offset + error.start)) from None


def _not_utf8(where: str, byte: int, offset: int) -> str:
    return f"{where}: not UTF-8: byte 0x{byte:02x} at offset {offset} of the file"
