"""The folder for runs: room, speed, and what xdist relies on there, renaming and locking."""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from xdist.launch.doctor.finding import Finding, size

CHECK = "storage"
PROBE = 64 << 20  # bytes written to learn the speed
# Weights and two moments of a 560-million-parameter encoder (XLM-R large) in fp32.
CHECKPOINT = 12 * 560e6
SLOW = 60.0  # seconds for that


def check(folder: Path) -> list[Finding]:
    """`folder` need not be there yet: then the nearest folder above it is looked at."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        return [Finding(CHECK, "bad", f"{place} is a file", "choose another folder (--folder, folder=…)")]
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as inside:
            speed = _speed(Path(inside))
            return judge(place, shutil.disk_usage(place).free, speed, _locks(Path(inside)))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        do = "make room there, or ask for more quota" if full else "choose another folder, or have it opened for you"
        return [Finding(CHECK, "bad", f"{place} cannot be written to: {error.strerror}", do)]


def judge(folder: Path, free: int, speed: float, locks: bool) -> list[Finding]:
    """`free` in bytes, `speed` in bytes a second; whether the file system knows locks."""
    seconds = CHECKPOINT / speed
    says = f"{folder}: {size(free)} free, written at {size(speed)}/s"
    found = []
    if free < 1e9:
        found.append(Finding(CHECK, "bad", says, "make room: a run keeps two checkpoints and the model"))
    elif free < 3 * CHECKPOINT:
        do = "enough for small encoders; of XLM-R large a checkpoint takes 7 GB, and two are kept (runtime.keep)"
        found.append(Finding(CHECK, "note", says, do))
    if seconds > SLOW:
        do = "save seldom (runtime.save_minutes), or keep runs on a faster disk"
        found.append(Finding(CHECK, "note", f"{says}: a checkpoint of XLM-R large takes {seconds:.0f} s", do))
    if not locks:
        do = "runs still detect a second start by a heartbeat, but take a moment longer to begin"
        found.append(Finding(CHECK, "note", f"{folder}: its file system keeps no locks", do))
    return found or [Finding(CHECK, "good", says)]


def _speed(folder: Path) -> float:
    block = os.urandom(1 << 20)  # some file systems compress
    path = folder / "probe"
    begun = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(PROBE >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - begun
    path.rename(folder / "renamed")
    return PROBE / seconds


def _locks(folder: Path) -> bool:
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
