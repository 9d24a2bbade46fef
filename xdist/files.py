"""Files that are complete or absent: everything is written under another name and renamed."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from xdist.errors import UserError
from xdist.strict_json import parsed

PACKAGE = Path(__file__).resolve().parent


def shipped(kind: str) -> Path:
    """The folder `docs`, `ds_configs` or `jobs`, in a checkout next to the package, in a wheel inside it."""
    inside = PACKAGE / kind  # tried first: another package's `jobs` may be next to an installed xdist
    return inside if inside.is_dir() else PACKAGE.parent / kind


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary file next to `path` that takes its name when the block succeeds and is removed when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files; a shared cluster folder needs readable ones
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def written_folder(path: Path) -> Iterator[Path]:
    """The same for a folder. A folder of that name that is already there is replaced at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        for file in temporary.rglob("*"):  # safetensors, too, makes private files
            os.chmod(file, (0o777 if file.is_dir() else 0o666) & ~_umask())
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


LEFT = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # as `written` and `written_folder` name what is on its way


def clear(folder: Path, names: Collection[str] | None = None, older: float = 0.0) -> None:
    """Remove what killed writers left in `folder`, on its way to one of `names`, or to any. Where others may write there too,
    what has not changed for `older` seconds."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        found = LEFT.fullmatch(entry.name)
        if found and (names is None or found[1] in names):
            with suppress(OSError):
                if older and entry.stat().st_mtime > time.time() - older:
                    continue
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def write_text(path: Path, text: str) -> None:
    """The content is on the disk before the name is: after a power cut the file is the old one or the new one, never empty."""
    with written(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=False) + "\n")


class _Dumper(yaml.SafeDumper):
    """Quotes a text that any reader would take for something else: by YAML 1.1, which is PyYAML's, or by 1.2, which is ours."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"0o[0-7]+$"), ["0"])


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """A letter that YAML takes for the end of a line stays itself only where it is escaped."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if re.search("[\x85\u2028\u2029]", text) else None)


_Dumper.add_representer(str, _text)


def yaml_text(value: Any, flow: bool | None = False) -> str:
    """`flow` None: the innermost lists and mappings in one line, as people write them."""
    width = 120 if flow is None else 80
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width)


def write_yaml(path: Path, value: Any) -> None:
    write_text(path, yaml_text(value))


def read_json(path: Path) -> Any:
    """The JSON value of a file of ours, or of a model. Raises OSError, and UserError as `parsed`."""
    return parsed(path.read_bytes(), path)


def digest(*parts: object) -> str:
    """16 hexadecimal digits that depend on all of `parts` (as JSON) and nothing else."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """16 hexadecimal digits of the file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def content_digest(content: bytes) -> str:
    """That of a file with this content."""
    return hashlib.sha256(content).hexdigest()[:16]


ABSENT = "absent"


class Digests:
    """Digests of files, each computed once; with a `memory`, once for as long as size and time of change are the same."""

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._digests: dict[str, list[Any]] = _remembered(memory) if memory and memory.is_file() else {}
        self._changed = False
        self._now: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        """The digest of a file's content, 'absent' where there is none."""
        if path not in self._now:
            self._now[path] = self._looked_up(path)
        return self._now[path]

    def remember(self) -> None:
        """Write the memory, if anything was learnt."""
        if self._memory and self._changed:
            write_json(self._memory, self._digests)

    def _looked_up(self, path: Path) -> str:
        try:
            status = path.stat()
        except OSError:
            return ABSENT
        name, stamp = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        known = self._digests.get(name)
        if not isinstance(known, list) or len(known) != 3 or known[:2] != stamp or not isinstance(known[2], str):
            self._changed = True
            known = self._digests[name] = [*stamp, file_digest(path)]
        digest: str = known[2]
        return digest


def _remembered(memory: Path) -> dict[str, list[Any]]:
    """Without what is no (size, time, digest) of a file: a damaged memory costs the reading of files again."""
    try:
        found = read_json(memory)
    except (OSError, UserError, ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: one for name, one in entries if isinstance(one, list) and [type(part) for part in one] == [int, int, str]}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
