"""DeepSpeed's ops that are compiled when they are first used: once for a machine, by one process at a time.

torch guards a build with a file that a killed process leaves behind and every later start then waits for, for ever. The lock
here dies with its process, and its holder may remove that file.
"""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from xdist.errors import NOT_GIVEN, RunError, UserError
from xdist.run.lock import NO_LOCKS
from xdist.run.progress import say

SILENT = 10.0  # seconds of waiting that are not reported: ranks of one start wait for each other
COLLECTIVE, CPU_ADAM, ASYNC_IO = "deepspeed_shm_comm", "cpu_adam", "async_io"
BUILDERS = {COLLECTIVE: "ShareMemCommBuilder", CPU_ADAM: "CPUAdamBuilder", ASYNC_IO: "AsyncIOBuilder"}
IMPOSSIBLE = dict.fromkeys(BUILDERS, "its sources do not fit this machine: see `python -m deepspeed.env_report`") | {
    ASYNC_IO: "its library is missing here: install libaio with its headers (apt-get install libaio-dev)",
}


def build(ops: Sequence[str]) -> list[str]:
    """Compile those of `ops` that are not yet, and that this machine can; returns those that it cannot. Waits while another
    process compiles."""
    from deepspeed.accelerator import get_accelerator

    from xdist import private

    # Two ninjas reject each other's logs and compile for a minute at every change: always the one that came with this Python.
    own_commands = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own_commands, *filter(None, [os.environ.get("PATH")])])
    impossible = []
    with exclusive_build(folder()):
        for op in ops:
            private.unlock_build(folder(), op)
            builder = get_accelerator().create_op_builder(BUILDERS[op])
            if builder is not None and builder.is_compatible(verbose=False):
                builder.load(verbose=False)
            else:
                impossible.append(op)
    return impossible


def folder() -> Path:
    """Where compiled ops are kept."""
    from torch.utils.cpp_extension import get_default_build_root

    return Path(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root())


@contextmanager
def exclusive_build(place: Path) -> Iterator[None]:
    """Inside, no other process of this machine is; where `place` is on a file system without locks, a file of the machine's
    own is locked. Raises UserError where `place` takes no files, and where neither takes locks, RunError where
    there is no room."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        own = (place / "xdist.lock").open("w")
    except OSError as error:
        message = f"{place}: cannot be written to ({error.strerror}): set TORCH_EXTENSIONS_DIR to a folder that can"
        raise (RunError if error.errno in NOT_GIVEN else UserError)(message) from None
    with own, (Path(tempfile.gettempdir()) / f"xdist-build-{os.getuid()}.lock").open("w") as other:
        if not _locked(own) and not _locked(other):
            message = f"{place}: its file system keeps no locks: set TORCH_EXTENSIONS_DIR to a folder of one that does"
            raise UserError(message)
        yield


def _locked(file: IO[str]) -> bool:
    """Locked, after as long as it takes, which is reported where that is long; False where there are no locks."""
    until = time.monotonic() + SILENT
    try:
        while time.monotonic() < until:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.1)
        say(f"xdist: another process compiles in {Path(file.name).parent}; waiting for it")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True
