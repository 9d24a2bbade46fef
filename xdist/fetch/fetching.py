"""Fetching one repository: what exists, what is missing or damaged, downloading it, locking it.

Every file is compared with the hub's checksum before it takes its name. During a download there is a lock called
fetching.json, so that a fetch resumes at the commit that it began with, and half a model is never used as a complete one. What
was complete before stays so, under its own lock, until all of what replaces it has come.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from xdist.data.claims import LOCK, PARTIAL, UNFINISHED, check_file_path
from xdist.data.fetched import FetchedFile, Lock, read_lock, repository_folder
from xdist.errors import UserError
from xdist.fetch.hub import Advance, HubClient, Listed, NoRevision, refusal_reason
from xdist.fetch.parts import Repository, describe_absence, files_of, known_parts
from xdist.files import write_text, written

# Where the hub keeps the Parquet files that it makes of data sets in other formats.
CONVERTED = "refs/convert/parquet"
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """`lock` is what will be written; its `files` are those that exist and are complete. `missing` says of each other file how
    the hub lists it, `why` what is wrong with it; `stale` are files of an earlier commit that the parts no longer have;
    `locked`: this lock exists, and no other fetch has started."""

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


def plan(hub: HubClient, root: Path, repository: Repository, revision: str | None, update: bool, verify: bool) -> FetchPlan:
    """What fetching `repository` would do. The recorded commit is kept unless there is a `revision` or it is to `update`;
    where all is recorded and there, the hub is not asked. Sizes are always looked at, checksums to `verify`.

    Raises UserError for what the hub refuses or does not have, for what it lists and cannot be, and for a lock that is none."""
    with _on_disk(repository):
        return _plan(hub, repository_folder(root, repository.kind, repository.id), repository, revision, update, verify)


def _plan(hub: HubClient, folder: Path, repository: Repository, revision: str | None, update: bool, verify: bool) -> FetchPlan:
    whole, begun = (_lock_of(repository, folder / name) for name in (LOCK, UNFINISHED))
    if whole and begun and begun.commit == whole.commit and set(begun.parts) <= set(whole.parts):
        begun = None  # it began with what is complete: nothing of it is left to be done but what `whole` lacks
    recorded = begun or whole
    why = _damaged(folder, recorded, verify) if recorded else {}
    kept = recorded is not None and not update and revision in (None, recorded.commit)
    parts = tuple(dict.fromkeys((*(recorded.parts if recorded else ()), *repository.parts)))
    if (
        whole
        and not begun
        and kept
        and not why
        and set(parts) == set(whole.parts)
        and repository.needed.isdisjoint(whole.absent)
    ):
        return FetchPlan(folder, whole, locked=True)

    name, commit, listing = _resolved(hub, repository, revision, recorded if kept else None)
    of_part = {part: files_of(repository.kind, part, listing) for part in parts}
    absent = tuple(part for part in parts if not of_part[part])
    for part in absent:
        if part in repository.needed:
            raise UserError(
                f"{repository}: {describe_absence(repository.kind, part, listing)} in revision '{name}' ({commit[:8]})"
            )
    files = {path: listing[path] for found in of_part.values() for path in found}
    if not files:
        raise UserError(f"{repository}: has none of the required files in revision '{name}' ({commit[:8]})")
    earlier = dict.fromkeys(path for lock in (whole, begun) if lock for path in lock.files)
    _check_places(repository, folder, files, earlier)
    there: dict[str, FetchedFile] = {}
    for path, listed in files.items():
        known = recorded.files.get(path) if recorded and recorded.commit == commit and path not in why else None
        entry = known or check_file(folder / path, listed)
        if entry:
            there[path] = entry
            why.pop(path, None)
        elif path not in why:
            why[path] = "is not the hub's" if (folder / path).exists() else "missing"
    lock = Lock(id=repository.id, kind=repository.kind, revision=name, commit=commit, parts=parts, absent=absent, files=there)
    stale = tuple(path for path in earlier if path not in files)
    missing = {path: listed for path, listed in files.items() if path not in there}
    return FetchPlan(folder, lock, missing, {path: why[path] for path in missing}, stale, locked=lock == whole and not begun)


def fetch(hub: HubClient, repository: Repository, todo: FetchPlan, advance: Advance) -> None:
    """Carry out a plan; `advance` gets the number of downloaded bytes. Raises UserError; what was downloaded is kept."""
    if todo.done:
        return
    with _on_disk(repository):
        _fetch(hub, repository, todo, advance)


def _fetch(hub: HubClient, repository: Repository, todo: FetchPlan, advance: Advance) -> None:
    folder, files = todo.folder, dict(todo.lock.files)
    _write(folder / UNFINISHED, todo.lock)
    replaces = (folder / LOCK).is_file()
    last = {listed.blob: path for path, listed in todo.missing.items()}

    def take(path: str) -> None:
        """Give a file that has come its name."""
        partial, target = folder / PARTIAL / todo.missing[path].blob, folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path == last[partial.name]:
            os.replace(partial, target)
            return
        with written(target) as copy:  # another file has the same content
            shutil.copyfile(partial, copy)

    for path, listed in todo.missing.items():
        partial = folder / PARTIAL / listed.blob
        if partial.is_symlink():  # would be written through
            partial.unlink()
        hub.download(repository, todo.lock.commit, path, listed.size, partial, advance)
        entry = check_file(partial, listed)
        if entry is None:
            partial.unlink()
            raise UserError(f"{folder / path}: the file differs from what the hub lists (checksum); fetch again")
        files[path] = entry
        if not replaces:
            take(path)
    (folder / LOCK).unlink(missing_ok=True)
    for path in todo.stale:
        (folder / path).unlink(missing_ok=True)
    for path in todo.missing if replaces else ():
        take(path)
    _write(folder / LOCK, todo.lock.model_copy(update={"files": dict(sorted(files.items()))}))
    (folder / UNFINISHED).unlink()
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def _lock_of(repository: Repository, path: Path) -> Lock | None:
    """The lock of `repository` at `path`. Raises UserError for one of something else."""
    lock = read_lock(path)
    if lock and ((lock.kind, lock.id) != (repository.kind, repository.id) or not known_parts(lock.kind, lock.parts)):
        raise UserError(f"{path}: is not what `xdist fetch` writes for {repository}; remove it and fetch again")
    return lock


def _check_places(repository: Repository, folder: Path, files: Iterable[str], earlier: Iterable[str]) -> None:
    """Raises UserError for a file that may not or cannot be written into `folder`, and where a link would lead out of it."""
    for path in files:
        try:
            check_file_path(path)
        except ValueError as error:
            raise UserError(f"{repository}: the hub lists {path!r:.300}: {error}") from None
        if (folder / path).is_dir():
            raise UserError(f"{folder / path}: is a folder, where a file of {repository} must be")
    inner = {parent for path in (*files, *earlier) for parent in (folder / path).parents if parent.is_relative_to(folder)}
    for parent in (*sorted(inner), folder / PARTIAL):
        if not Path(os.path.realpath(parent)).is_relative_to(os.path.realpath(folder)):
            raise UserError(f"{parent}: this link leads out of {folder}; remove it and fetch again")
        if os.path.lexists(parent) and not parent.is_dir():
            raise UserError(f"{parent}: is no folder, where a folder of {repository} must be")


@contextmanager
def _on_disk(repository: Repository) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{repository}: {refusal_reason(error)}") from None


def _resolved(
    hub: HubClient, repository: Repository, revision: str | None, recorded: Lock | None
) -> tuple[str, str, dict[str, Listed]]:
    """(revision, commit, files). A data set without its own Parquet files is taken as the hub has converted it."""
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


def check_file(file: Path, listed: Listed) -> FetchedFile | None:
    """The record of a file that is what the hub lists; None of any other."""
    if _size(file) != listed.size or not file.is_file():
        return None
    sha256 = _digest(file)
    if listed.sha256:
        return FetchedFile(size=listed.size, sha256=sha256) if sha256 == listed.sha256 else None
    in_git = hashlib.new("sha1" if len(listed.blob) == 40 else "sha256", b"blob %d\0" % listed.size, usedforsecurity=False)
    return FetchedFile(size=listed.size, sha256=sha256) if _digest(file, in_git) == listed.blob else None


def _digest(file: Path, begun: "hashlib._Hash | None" = None) -> str:
    """The SHA-256 of a file's content, or the digest that was started with what git puts before it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: begun or hashlib.sha256()).hexdigest()


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _write(path: Path, lock: Lock) -> None:
    write_text(path, lock.model_dump_json(indent=1) + "\n")
