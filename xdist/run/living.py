"""Which processes of this machine are alive, as /proc says."""

from contextlib import suppress
from pathlib import Path


def is_alive(pid: int | str) -> bool | None:
    """Whether a process runs; one that ended and was not waited for does not. None where /proc cannot say."""
    try:
        return _runs(_fields(Path("/proc", str(pid))))
    except OSError:
        return False if Path("/proc/self").exists() else None


def group_alive(group: int) -> bool:
    """Whether a process of the group runs that a launcher leads or led."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            fields = _fields(entry)
            if int(fields[2]) == group and _runs(fields):
                return True
    return False


def _fields(entry: Path) -> list[str]:
    """The fields of /proc/PID/stat from the third on, behind the name, which may hold blanks and brackets."""
    return (entry / "stat").read_text().rsplit(")", 1)[1].split()


def _runs(fields: list[str]) -> bool:
    # A killed process is a zombie as soon as its first thread has ended; until the last one has, it holds its files and locks.
    return fields[0] not in "ZX" or int(fields[17]) > 1
