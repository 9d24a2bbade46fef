"""Work that is cut short at any of its writes, by the real end of a real process."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from xdist.errors import RunError, UserError

How = Literal["killed", "full"]
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "os.utime", "os.link", "os.symlink")
TAKES_ROOM = ("open", "os.mkdir")
DONE, BROKEN, CUT = 0, 1, 9


def cut_short(work: Callable[[], object], place: Path, how: How) -> Iterator[None]:
    """Do `work` again and again, each time in a process that ends at its next write below `place`, counted from 0: is killed
    before it, or finds no room for it or for any later one, which has to end in one line. Yields after
    each, and ends when the work is done before the write's turn comes."""
    number = 0
    while _do(work, place, how, number) == CUT:
        yield
        number += 1


def _do(work: Callable[[], object], place: Path, how: How, last: int) -> int:
    if child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (DONE, CUT), f"write {last}: {code}"
        return code
    code, count = BROKEN, -1

    def before(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if _changes(event, arguments, place) and (how == "killed" or event in TAKES_ROOM):
            count += 1
            if count >= last and how == "killed":
                os._exit(CUT)
            if count >= last:
                raise OSError(28, os.strerror(28), str(arguments[0]))

    try:
        sys.addaudithook(before)
        work()
        code = DONE
    except (UserError, RunError):
        code = CUT if count >= last else BROKEN
    finally:
        if code == BROKEN:
            traceback.print_exc()
        os._exit(code)


def _changes(event: str, arguments: tuple[Any, ...], place: Path) -> bool:
    if not (event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))):
        return False
    path = arguments[0]
    return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(str(place))
