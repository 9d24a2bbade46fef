"""The shards of one save on this rank: to the disk and with a checksum, at once or from copies, while training continues."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from xdist.checkpoint.host import Copy, HostMemory
from xdist.run import distributed

Files = dict[str, dict[str, Any]]
YIELDS = 10  # how nice the writing thread is: where cores are short, training comes first


class _Summed:
    """A file that is only written to and sums up what goes by, so that the shard is not read again for its checksum."""

    def __init__(self, file: IO[bytes], go_on: Callable[[], bool]) -> None:
        self._file, self._go_on, self.size, self.sum = file, go_on, 0, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            if not self._go_on():
                raise OSError("given up")
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.sum.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()


def write_shard(state: Any, path: Path, folder: int | None = None, go_on: Callable[[], bool] = lambda: True) -> dict[str, Any]:
    """Save `state` at `path`, in the open `folder` where there is one, on the disk when this returns; its size and sha256.
    Raises OSError, also when `go_on` says no half-way."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o666, dir_fd=folder)) as file:
        summed = _Summed(file, go_on)
        try:
            torch.save(state, summed)  # type: ignore[arg-type]
        except RuntimeError:  # the zip writer speaks of an unexpected position
            if summed.error:
                raise summed.error from None
            raise
        file.flush()
        os.fsync(file.fileno())
    return {"size": summed.size, "sha256": summed.sum.hexdigest()}


class StateShards:
    """What this rank writes during one save, and what kept it from writing; with a `memory` from copies there, when `write` is
    called. Files are made in the folder that was opened, under its name at that time: a thread that outlives its start by some
    seconds, on a host that heard nothing, writes nothing into a folder that the next start made instead."""

    def __init__(self, memory: HostMemory | None = None) -> None:
        self.files: Files = {}
        self.problem = ""
        self._memory = memory
        self._copies: list[tuple[Copy, str]] = []
        self._folder: int | None = None
        self._given_up = False

    def open(self, folder: Path) -> None:
        with self.note_errors():
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def take(self, state_dict: Any, path: str) -> None:
        """Replaces DeepSpeed's writer, with the same names of arguments."""
        name = Path(path).name
        if self._memory is not None:
            try:
                self._copies.append((self._memory.copy(state_dict), name))
                return
            except (MemoryError, RuntimeError):  # no room for a copy after all
                pass
        self._write(state_dict, name)

    def write(self) -> None:
        """What was copied; the last that is done with this."""
        try:
            for copied, name in self._copies:
                self._write(copied.state(), name)
        finally:
            self._copies = []
            if self._memory is not None:
                self._memory.reuse()
            if self._folder is not None:
                os.close(self._folder)
                self._folder = None

    def give_up(self) -> None:
        """Have a thread that writes end soon; what it wrote does not count."""
        self._given_up = True

    @contextmanager
    def note_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._note(error.strerror or str(error))

    def _write(self, state: Any, name: str) -> None:
        if self._folder is None:
            return  # it could not be opened
        try:
            self.files[name] = write_shard(state, Path(name), self._folder, lambda: not self._given_up)
        except OSError as error:
            self._note(f"{error.strerror or error} ({name})")

    def _note(self, what: str) -> None:
        self.problem = self.problem or f"rank {distributed.rank()}: {what}"


class Behind:
    """`work` in its own thread; with `at_once` it is done when this is made."""

    def __init__(self, work: Callable[[], None], at_once: bool) -> None:
        self._work = work
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        if at_once:
            work()
            return
        self._thread = threading.Thread(target=self._do, name="checkpoint", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Until it is done. Raises what it raised."""
        if self._thread is not None:
            self._thread.join(seconds)
        if self._error:
            raise self._error

    def _do(self) -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), YIELDS)
            self._work()
        except Exception as error:
            self._error = error
