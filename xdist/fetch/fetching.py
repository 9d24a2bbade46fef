"""Fetching one repository: what is there, what is missing or damaged, bringing it, locking it.

Every file is compared with the hub's checksum before it takes its name. While something is being brought the lock is called
fetching.json, so that a fetch goes on at the commit that it began with, and nobody takes half a model for a whole one.
"""

import hashlib
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from xdist.data.fetched import LOCK, FetchedFile, Lock, place, read_lock
from xdist.errors import UserError
from xdist.fetch.hub import Advance, Hub, Listed, NoRevision
from xdist.fetch.parts import Repository, files_of
from xdist.files import write_text

UNFINISHED = "fetching.json"
PARTIAL = ".partial"
# Where the hub keeps the Parquet files that it makes of data sets in other formats.
CONVERTED = "refs/convert/parquet"
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Plan:
    """`lock` is what will be written; its `files` are those that are there and whole. `missing` says of each other file how the
    hub lists it, `why` what is wrong with it; `stale` are files of an earlier commit that the parts no longer have."""

    folder: Path
    lock: Lock
    missing: dict[str, Listed] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    locked: bool = False

    @property
    def sizes(self) -> list[int]:
        """The bytes of every file, there or not."""
        return [entry.size for entry in self.lock.files.values()] + [listed.size for listed in self.missing.values()]

    @property
    def bytes_missing(self) -> int:
        """What has yet to come, without the partial files at hand."""
        sizes = (listed.size - _size(self.folder / PARTIAL / listed.blob) for listed in self.missing.values())
        return sum(max(size, 0) for size in sizes)

    @property
    def done(self) -> bool:
        return self.locked and not self.missing and not self.stale


def plan(hub: Hub, root: Path, repository: Repository, revision: str | None, update: bool, verify: bool) -> Plan:
    """What fetching `repository` would do. The recorded commit is kept unless there is a `revision` or it is to `update`;
    where all is recorded and there, the hub is not asked. Sizes are always looked at, checksums to `verify`.

    Raises UserError for what the hub refuses or does not have."""
    folder = place(root, repository.kind, repository.id)
    whole = read_lock(folder / LOCK)
    recorded = whole or read_lock(folder / UNFINISHED)
    why = _damaged(folder, recorded, verify) if recorded else {}
    kept = recorded is not None and not update and revision in (None, recorded.commit)
    parts = tuple(dict.fromkeys((*(recorded.parts if recorded else ()), *repository.parts)))
    if whole and kept and not why and set(parts) == set(whole.parts) and repository.needed.isdisjoint(whole.absent):
        return Plan(folder, whole, locked=True)

    name, commit, listing = _resolved(hub, repository, revision, recorded if kept else None)
    of_part = {part: files_of(repository.kind, part, listing) for part in parts}
    absent = tuple(part for part in parts if not of_part[part])
    for part in absent:
        if part in repository.needed:
            raise UserError(f"{repository}: has no files of '{part}' in revision '{name}' ({commit[:8]})")
    files = {path: listing[path] for found in of_part.values() for path in found}
    if not files:
        raise UserError(f"{repository}: has none of the files that are wanted in revision '{name}' ({commit[:8]})")
    there: dict[str, FetchedFile] = {}
    for path, listed in files.items():
        known = recorded.files.get(path) if recorded and recorded.commit == commit and path not in why else None
        entry = known or _checked(folder / path, listed)
        if entry:
            there[path] = entry
            why.pop(path, None)
        elif path not in why:
            why[path] = "is not the hub's" if (folder / path).exists() else "missing"
    lock = Lock(id=repository.id, kind=repository.kind, revision=name, commit=commit, parts=parts, absent=absent, files=there)
    stale = tuple(path for path in (recorded.files if recorded else ()) if path not in files)
    missing = {path: listed for path, listed in files.items() if path not in there}
    return Plan(folder, lock, missing, {path: why[path] for path in missing}, stale, locked=lock == whole)


def fetch(hub: Hub, repository: Repository, todo: Plan, advance: Advance) -> None:
    """Carry out a plan; `advance` is told the bytes that have come. Raises UserError; what has come is kept."""
    if todo.done:
        return
    folder, files = todo.folder, dict(todo.lock.files)
    _write(folder / UNFINISHED, todo.lock)
    (folder / LOCK).unlink(missing_ok=True)
    for path in todo.stale:
        (folder / path).unlink(missing_ok=True)
    for path, listed in todo.missing.items():
        partial = folder / PARTIAL / listed.blob
        hub.download(repository, todo.lock.commit, path, listed.size, partial, advance)
        entry = _checked(partial, listed)
        if entry is None:
            partial.unlink()
            raise UserError(f"{folder / path}: what came is not what the hub lists (checksum); fetch again")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial, folder / path)
        files[path] = entry
    _write(folder / LOCK, todo.lock.model_copy(update={"files": dict(sorted(files.items()))}))
    (folder / UNFINISHED).unlink()
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def _resolved(
    hub: Hub, repository: Repository, revision: str | None, recorded: Lock | None
) -> tuple[str, str, dict[str, Listed]]:
    """(revision, commit, files). A data set without Parquet files of its own is taken as the hub has converted it."""
    if recorded:
        return recorded.revision, recorded.commit, hub.files(repository, recorded.commit)
    name = revision or "main"
    commit = name if COMMIT.fullmatch(name) else hub.commit(repository, name)
    listing = hub.files(repository, commit)
    has_any = any(files_of(repository.kind, part, listing) for part in repository.parts)
    if revision is None and repository.kind == "dataset" and not has_any:
        with suppress(NoRevision):
            converted = hub.commit(repository, CONVERTED)
            return CONVERTED, converted, hub.files(repository, converted)
    return name, commit, listing


def _damaged(folder: Path, lock: Lock, verify: bool) -> dict[str, str]:
    """What is wrong with each recorded file that is not as it was recorded."""
    why = {}
    for path, entry in lock.files.items():
        file = folder / path
        if not file.is_file():
            why[path] = "missing"
        elif file.stat().st_size != entry.size:
            why[path] = f"damaged: {file.stat().st_size:,} bytes, were {entry.size:,}"
        elif verify and _digest(file) != entry.sha256:
            why[path] = "damaged: other checksum than recorded"
    return why


def _checked(file: Path, listed: Listed) -> FetchedFile | None:
    """The record of a file that is what the hub lists; None of any other."""
    if _size(file) != listed.size or not file.is_file():
        return None
    sha256 = _digest(file)
    if listed.sha256:
        return FetchedFile(size=listed.size, sha256=sha256) if sha256 == listed.sha256 else None
    blob = hashlib.sha1(b"blob %d\0" % listed.size + file.read_bytes(), usedforsecurity=False).hexdigest()
    return FetchedFile(size=listed.size, sha256=sha256) if blob == listed.blob else None


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _write(path: Path, lock: Lock) -> None:
    write_text(path, lock.model_dump_json(indent=1) + "\n")
