"""Text and JSON files, read strictly: UTF-8 or an error that names the file, the line and the byte.

Lines end at a line feed, with or without a carriage return before it; no other character ends a line, because published
sentences contain U+0085, U+2028 and the like. A byte order mark at the start of a file is dropped. What is no text at all but
is found where a text should be (a Git LFS pointer, a web page, an archive) is known by its first bytes.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from xdist.errors import UserError
from xdist.formats.disguised import LOOKED_AT, refuse_disguised
from xdist.strict_json import not_utf8, parsed

T = TypeVar("T")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end), one at a time. Raises UserError: no such file, not a text, not UTF-8."""
    offset = 0
    with open_file(path) as file:
        for number, raw in enumerate(file, start=1):
            text = _decode(raw, f"{path}:{number}", offset)
            offset += len(raw)
            yield number, (text.removeprefix("\ufeff") if number == 1 else text).removesuffix("\n").removesuffix("\r")


def without_trailing_blanks(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """`lines` without the blank ones at the end of the file, which editors and scripts leave there."""
    held: list[tuple[int, str]] = []
    for number, line in lines:
        if is_blank(line):
            held.append((number, line))
            continue
        yield from held
        held.clear()
        yield number, line


def is_blank(line: str) -> bool:
    """Whether nothing is in a line. A space of another kind (U+00A0, U+3000) is a word: corpora hold words of one."""
    return not line.strip(" \t\r")


def read_json(path: Path, unique: bool = False) -> Any:
    """The one JSON value of a file. Raises UserError: no such file, and all errors of `parsed`; with `unique` for a key that
    appears twice in an object, of which JSON readers keep the last."""
    with open_file(path) as file:
        return parsed(file.read(), path, pairs=partial(_unique, path) if unique else None)


def _unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UserError(f"{path}: {key}: this key appears here twice")
        found[key] = value
    return found


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object), one JSON object a line. Raises UserError: as `read_json`, and for a line that is no
    object."""
    for number, line in without_trailing_blanks(read_lines(path)):
        record = parsed(line, path, number)
        if not isinstance(record, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, found {type(record).__name__}")
        yield number, record


def field(record: Mapping[str, Any], name: str, kind: type[T], where: str) -> T:
    """`record[name]`, which must be a `kind`. Raises UserError that starts with `where` and names the nearest field."""
    if not isinstance(record, Mapping):
        raise UserError(f"{where}: expected an object with field '{name}', found {type(record).__name__}")
    if name not in record:
        raise UserError(f"{where}: no field '{name}'{nearest_name(name, record)}")
    value = record[name]
    # bool is a subclass of int, and `true` is not a label or an offset.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{where}: field '{name}' must be {kind.__name__}, found {show_value(value)}")
    return value


def show_value(value: object) -> str:
    """A value in a message: its type, and of what is not nested the beginning."""
    kind = type(value).__name__
    return kind if isinstance(value, list | tuple | dict) else f"{kind} {value!r:.40}"


def nearest_name(name: str, found: Mapping[str, Any] | list[str]) -> str:
    """The end of a message about something missing: the nearest name that exists, and all of them."""
    names = [str(key) for key in found]
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; nearest: '{close[0]}'" if close else ""
    return f"{hint} (found: {', '.join(names) or 'none'})"


def open_file(path: Path, packed: bool = False) -> IO[bytes]:
    """The file at `path`. Raises UserError: no such file, a folder, no file that can be read; what is neither a text nor, where
    that is expected, `packed`."""
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise UserError(f"{path}: is no file")  # a named pipe would keep its reader waiting
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        folder = Path(path).parent
        siblings = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        close = get_close_matches(Path(path).name, siblings, n=1, cutoff=0.5)
        raise UserError(f"{path}: no such file{f'; nearest: {close[0]!r}' if close else ''}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        refuse_disguised(file.peek(LOOKED_AT), path, packed)
    except UserError:
        file.close()
        raise
    return file


def _decode(raw: bytes, where: str, offset: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(not_utf8(where, raw[error.start], offset + error.start)) from None
