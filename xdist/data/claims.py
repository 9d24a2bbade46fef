"""What a hub, or a lock on the disk, may claim: each kind of value is checked before it becomes a path or a bound."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from xdist.config.plain import matching

# What xdist itself writes into the folder of a repository: the lock, the lock of a fetch in progress, the files of which a part
# is there.
LOCK, UNFINISHED, PARTIAL = "fetched.json", "fetching.json", ".partial"
LARGEST = 10**18  # bytes of a file: more than any disk has, and still a number of 64 bits
LONGEST_PATH, LONGEST_NAME = 1024, 255  # characters; bytes
# Characters and names that some system takes for something else than a name.
SIGNS = set('\\:*?"<>|')
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    "conin$",
    "conout$",
    *(port + digit for port in ("com", "lpt") for digit in "0123456789¹²³"),
}


def check_inside(path: str) -> str:
    """`path`, if it leads from a folder to something in that folder. Raises ValueError."""
    if len(path) > LONGEST_PATH or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError("expected a path that stays inside the folder")
    return path


def check_file_path(path: str) -> str:
    """`path`, if it may be written into the folder of a repository, on any system. Raises ValueError."""
    names = check_inside(path).split("/")
    if not path.isprintable() or not SIGNS.isdisjoint(path):
        raise ValueError('expected a path without control characters and \\ : * ? " < > |')
    if any(name.endswith((" ", ".")) or name.partition(".")[0].strip().lower() in DEVICES for name in names):
        raise ValueError("expected names that are no devices and do not end in a space or a dot")
    if any(len(name.encode()) > LONGEST_NAME for name in names):
        raise ValueError("expected shorter names")
    if names[0].lower() in (LOCK, UNFINISHED, PARTIAL):
        raise ValueError("expected another name than those of xdist's own files there")
    return path


def file_and_folder(paths: Iterable[str]) -> str | None:
    """The first of `paths` that another one takes for a folder."""
    # With the lowest of all characters between names, a folder's files come right after it.
    ordered = sorted(path.replace("/", "\0") for path in paths)
    found = (one for one, other in pairwise(ordered) if other.startswith(f"{one}\0"))
    return next((path.replace("\0", "/") for path in found), None)


Digest = Annotated[str, matching(r"[0-9a-f]{40}|[0-9a-f]{64}", "40 or 64 lower-case hexadecimal digits")]
Sha256 = Annotated[str, matching(r"[0-9a-f]{64}", "64 lower-case hexadecimal digits")]
Size = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Inside = Annotated[str, AfterValidator(check_inside)]
FilePath = Annotated[str, AfterValidator(check_file_path)]
