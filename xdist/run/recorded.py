"""Files of a run folder as a reader may find them: cut, of another shape, written by others, no files at all. What is not
as xdist writes it is reported in one line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from xdist import strict_json
from xdist.errors import UserError

T = TypeVar("T")
TEXTS, MAPPING = TypeAdapter(dict[str, str]), TypeAdapter(dict[str, Any])


class DamagedError(UserError):
    """A file of a run folder is not what xdist writes there."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Pieces(_Part):
    inputs: str
    files: str
    predictions: str


class _MadeOf(_Part):
    model: str
    options: dict[str, Any]
    pieces: dict[Annotated[str, Field(pattern=r"^[^ ]+ [^ ]+$")], _Pieces]


class _Collapsed(_Part):
    predictions: int
    are: str


class _Measured(_Part):
    rows: int
    pieces: int
    unknown: int
    units: int
    per: str
    changed: int
    form: str
    applied: bool = True


class _Entry(_Part):
    family: str
    metric: str
    split: str
    trained_on: list[str]
    selected_on: list[str] = []
    languages: dict[str, dict[str, FiniteFloat]]
    mean: dict[str, FiniteFloat]
    scored_by: str | None = None
    layer: int | None = None
    smoothing: dict[str, Any] | None = None
    smoothing_cost: dict[str, Any] | None = None
    made_of: _MadeOf | None = None
    collapsed: dict[str, _Collapsed] = {}
    measured: dict[str, _Measured] = {}


class _Scores(_Part):
    run: str
    tasks: dict[str, _Entry]
    pretraining: dict[str, Any] | None = None
    read_since: list[str] = []


_SCORES = TypeAdapter(_Scores)


def recorded_text(path: Path) -> str:
    """Raises DamagedError for what is no file, such as a named pipe that would keep its reader waiting, and no UTF-8 text."""
    if not path.is_file():
        raise DamagedError(f"{path}: is no file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise DamagedError(f"{path}: cannot be read: {error.strerror}") from None


def parse_recorded(text: str, path: Path, line: int | None = None) -> Any:
    """The JSON value that `text` is: of a file, or of one `line` of it. Raises DamagedError."""
    try:
        return strict_json.parsed(text, path, line)
    except UserError as error:
        raise DamagedError(str(error)) from None


def recorded_json(path: Path, kind: TypeAdapter[T]) -> T:
    """The JSON of a file, which is of this `kind`. Raises DamagedError."""
    return _shaped(parse_recorded(recorded_text(path), path), kind, path)


def recorded_scores(path: Path) -> dict[str, Any]:
    """The content of a scores.json. Raises DamagedError."""
    content: dict[str, Any] = parse_recorded(recorded_text(path), path)
    _shaped(content, _SCORES, path)
    return content


def _shaped(value: Any, kind: TypeAdapter[T], path: Path) -> T:
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))[:200]
        message = first["msg"].removeprefix("Value error, ")
        raise DamagedError(f"{path}: {f'{key!r}: ' if key else ''}{message}; xdist did not write this") from None


def logged_steps(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, what was logged at its "step", an integer) of a metrics.jsonl. What follows the last line feed was cut off
    when the run was killed; it will be logged again. Raises DamagedError for any other line that is none."""
    for number, line in enumerate(recorded_text(path).split("\n")[:-1], start=1):
        entry = parse_recorded(line, path, number)
        if not isinstance(entry, dict) or type(entry.get("step")) is not int or not 0 <= entry["step"] < 1 << 63:
            raise DamagedError(f"{path}:{number}: expected a mapping with an integer 'step'")
        yield number, entry


def unless_damaged(read: Callable[[], T], default: T, damage: list[str]) -> T:
    """What `read` gives; for a damaged file `default`, with a line more in `damage`."""
    try:
        return read()
    except DamagedError as error:
        damage.append(str(error))
        return default
