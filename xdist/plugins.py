"""Others' code: a file that a run names, an installed module or distribution, and what distributions offer by themselves.

A plugin enters what it has into registries (xdist/registry.py) when it is imported. A command that only reads a folder, which
others may have made, imports nothing that is named there, except what the user gives (`with_plugins`).
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from xdist.errors import UserError
from xdist.files import content_digest, digest, file_digest

GROUP = "xdist.plugins"  # entry points of distributions: each is a module, or a function that is called
ONE_FILE = "xdist_plugin_"  # with the file's digest, the name of a module that is made of one file
PINNED = re.compile(r"(.+)@([0-9a-f]{16})")

_given: list[str] = []  # what the running command was given
_installed: set[str] = set()  # the digests of installed modules and distributions that were imported as plugins


def pinned(entry: str) -> str:
    """Import the plugin that `entry` names and give 'name@digest of its code'. The name is that of a file (*.py), of a
    distribution with entry points, or of a module; a digest that is behind it must be that of the code as it is now. Raises
    UserError where it is not, where there is no such thing, and where it cannot be imported."""
    found = PINNED.fullmatch(entry)
    name, then = found.groups() if found else (entry, "")
    now = _load_file(Path(name)) if name.endswith(".py") else _load_installed(name)
    if then not in ("", now):
        raise UserError(f"{name}: its code ({now}) differs from the recorded code ({then})")
    return f"{name}@{now}"


def digest_in(entry: str) -> str:
    """The digest in 'name@digest'; a name alone as it is."""
    return entry.rpartition("@")[2]


def name_in(entry: str) -> str:
    """The name in 'name@digest'."""
    return entry.rpartition("@")[0] or entry


def is_imported(entry: str) -> bool:
    """Whether the plugin 'name@digest' was imported, with this code."""
    return ONE_FILE + digest_in(entry) in sys.modules or digest_in(entry) in _installed


def entry_of(module: ModuleType) -> str:
    """'name@digest' of the plugin that `module` is, or belongs to. Raises UserError for what is neither a plugin of one file
    nor installed."""
    if module.__name__.startswith(ONE_FILE):
        return f"{module.__file__}@{module.__name__.removeprefix(ONE_FILE)}"
    return _entry_of_installed(_top(module.__name__))


@cache
def _entry_of_installed(name: str) -> str:
    return pinned(name)


@contextmanager
def with_plugins(entries: Iterable[str]) -> Iterator[None]:
    """Import these plugins; inside, what they provide is available for any plugins that a run names. Raises UserError as
    `pinned`."""
    before = tuple(_given)
    try:
        _given.extend(map(pinned, entries))
        yield
    finally:
        _given[:] = before


def given_now() -> tuple[str, ...]:
    """'name@digest' of each plugin that is given at the moment."""
    return tuple(_given)


@cache
def load_offered() -> None:
    """Import what installed distributions offer by entry points. Raises UserError for what cannot be imported."""
    for point in _entry_points():
        _enter(point)


def _load_file(path: Path) -> str:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    code = content_digest(source)
    name = ONE_FILE + code
    if name not in sys.modules:
        module = sys.modules[name] = ModuleType(name)
        module.__file__ = str(path.resolve())
        try:
            # Not by a loader of Python's, which takes a file for unchanged whose size and second of change are the same.
            with _in_one_line(path, [path]):
                exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
        except UserError:
            del sys.modules[name]
            raise
    return code


def _load_installed(name: str) -> str:
    points = [point for point in _entry_points() if name in (_distribution(point), _top(point.module))]
    files: dict[str, Path] = {}
    for module in {_top(point.module) for point in points} or {name}:
        files |= _files(module, name)
    for point in points:
        _enter(point)
    if not points:
        with _in_one_line(name, files.values()):
            import_module(name)
    code = digest([(inside, file_digest(path)) for inside, path in sorted(files.items())])
    _installed.add(code)
    return code


def _entry_points() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda point: (_distribution(point), point.name))


@cache
def _enter(point: EntryPoint) -> None:
    files = _files(point.module, _distribution(point))
    with _in_one_line(f"{_distribution(point)}, entry point '{point.name}'", files.values()):
        found = point.load()
        if callable(found):
            found()


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else ""


def _top(module: str) -> str:
    return module.partition(".")[0]


def _files(module: str, name: str) -> dict[str, Path]:
    """All Python files of an installed module, by where they are in it. Raises UserError where there is no such module."""
    spec = find_spec(_top(module)) if re.fullmatch(r"[A-Za-z_][\w.]*", module) and module != "__main__" else None
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    files = {str(path.relative_to(folder.parent)): path for folder in folders for path in folder.rglob("*.py")}
    if not folders and spec and spec.origin and Path(spec.origin).is_file():
        files = {_top(module): Path(spec.origin)}
    if not files:
        raise UserError(f"{name}: neither a file (*.py) nor an installed module or distribution")
    return files


@contextmanager
def _in_one_line(what: object, files: Iterable[Path]) -> Iterator[None]:
    """Raises UserError, with the line of one of `files` where it went wrong, for any error raised inside."""
    try:
        yield
    except (Exception, SystemExit) as error:
        names = {str(file) for file in files}
        places = [(frame.filename, frame.lineno) for frame in extract_tb(error.__traceback__) if frame.filename in names]
        text = (str(error).splitlines() or [""])[0]
        if isinstance(error, SyntaxError):
            places, text = [(error.filename or str(what), error.lineno)], error.msg
        where = ":".join(map(str, places[-1])) if places else str(what)
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        raise UserError(f"{where}: {kind}{text}".removesuffix(": ")) from None
