"""One start of a run at a time: `.lock` in its folder, held by rank 0.

The kernel holds the lock and lets go of it when the process ends, however it ends, so a crash leaves nothing in the way. A
shared file system may keep locks to each machine, or none: the file therefore also says which host and process holds it, and
its holder touches it every few seconds. A holder elsewhere that does not touch it for a while is dead.
"""

import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from xdist.errors import NOT_GIVEN, BusyError, RunError, UserError

BEAT = 5.0  # seconds
DEAD = 4  # beats missed
LOST = 2  # beats without the file where it was: one alone may be a file server that starts again
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class RunLock:
    def __init__(self, folder: Path, beat: float = BEAT) -> None:
        self.path = folder / ".lock"
        self._beat = beat
        self._file: IO[str] | None = None
        self._over = threading.Event()
        self._kernel_knows = True

    def holder(self) -> str:
        """Who holds it, as far as this machine's kernel knows; "" if no process does. Changes nothing and does not wait."""
        try:
            with self._there() as file:
                return self._said(file) if self._kernel_refuses(file, fcntl.LOCK_SH) else ""
        except OSError:
            return ""

    def left_behind(self) -> bool:
        """Whether a process of this machine held it and ended without letting go, as a killed one does. Changes nothing."""
        try:
            with self._there() as file:
                return not self._kernel_refuses(file, fcntl.LOCK_SH) and self._kernel_knows and self._is_here(file)
        except OSError:
            return False

    def free(self) -> bool:
        """Whether certainly no start uses it. Changes nothing and does not wait, so one that died on another machine, or whose
        machine keeps no locks, counts as one who works."""
        try:
            with self._there() as file:
                if self._kernel_refuses(file, fcntl.LOCK_SH):
                    return False
                return not self._content(file) or (self._kernel_knows and self._is_here(file))
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def record(self) -> dict[str, Any]:
        """Which start took it last and has not released it, dead or alive, as `take` returned it; {} if none has."""
        try:
            with self._there() as file:
                return self._content(file)
        except OSError:
            return {}

    def check(self) -> None:
        """Raises BusyError saying who works here, after at most the time it takes to see whether a holder on another machine is
        alive. A holder that has died is forgotten. Raises UserError where the folder may not be written to, RunError where
        there is no room or the disk fails."""
        try:
            with self._there("r+") as file:
                self._refuse_others(file)
                if self._content(file):
                    self._write(file, "")
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._not_writable(error) from None

    def take(self, what: str, on_lost: Callable[[], object] = bool) -> dict[str, Any]:
        """Hold the lock until `release` or the end of this process; returns what the file says from now on. Raises and waits as
        `check` does. `on_lost` is called, in a thread, once the file is gone from where it was: with its folder, mostly."""
        record = {"what": what, "host": socket.gethostname(), "pid": os.getpid(), "since": time.ctime()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self._there("a+")
        except OSError as error:
            raise self._not_writable(error) from None
        try:
            self._refuse_others(file)
            self._write(file, json.dumps(record))
        except BusyError:
            file.close()
            raise
        except OSError as error:
            with suppress(OSError):  # it tries to write once more
                file.close()
            raise self._not_writable(error) from None
        self._file = file
        held = os.fstat(file.fileno())
        threading.Thread(target=self._touch, args=(held, on_lost), name="run lock", daemon=True).start()
        return record

    def release(self) -> None:
        """Let go; no harm where it is not held."""
        self._over.set()
        if self._file:
            with suppress(OSError):  # a full disk; the kernel's lock is what counts
                self._write(self._file, "")
            self._file.close()
            self._file = None

    def _there(self, mode: str = "r") -> IO[str]:
        """Raises OSError, also for what is no file: a named pipe would keep who opens it waiting."""
        if self.path.exists() and not self.path.is_file():
            raise OSError(errno.EINVAL, f"{self.path.name} is no file")
        return self.path.open(mode, encoding="utf-8")

    def _refuse_others(self, file: IO[str]) -> None:
        if self._kernel_refuses(file, fcntl.LOCK_EX) or self._alive_elsewhere(file):
            holder = self._said(file)
            raise BusyError(f"{self.path.parent}: {holder} is running here; wait for it or choose another folder (folder=…)")

    @staticmethod
    def _write(file: IO[str], text: str) -> None:
        file.seek(0)
        file.truncate()
        file.write(text)
        file.flush()

    def _not_writable(self, error: OSError) -> UserError | RunError:
        kind = RunError if error.errno in NOT_GIVEN else UserError
        return kind(f"{self.path.parent}: cannot be written to: {error.strerror}")

    def _kernel_refuses(self, file: IO[str], kind: int) -> bool:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._kernel_knows = False
        return False

    def _alive_elsewhere(self, file: IO[str]) -> bool:
        """Whether the process named in the file is on another host and still touches it. Clocks of two machines are never
        compared: what is waited for is a change."""
        content = self._content(file)
        if content.get("host", socket.gethostname()) == socket.gethostname():
            return not self._kernel_knows and Path("/proc", str(content.get("pid", ""))).is_dir() and bool(content)
        before = self.path.stat().st_mtime_ns
        until = time.monotonic() + DEAD * self._beat
        while time.monotonic() < until:
            time.sleep(self._beat / 5)
            os.listdir(self.path.parent)  # makes network file systems look again
            if self.path.stat().st_mtime_ns != before:
                return bool(self._content(file))
        return False

    def _is_here(self, file: IO[str]) -> bool:
        return self._content(file).get("host") == socket.gethostname()

    def _touch(self, held: os.stat_result, on_lost: Callable[[], object]) -> None:
        """`held` is the file that this start has open."""
        missed = 0
        while not self._over.wait(self._beat):
            try:
                os.utime(self.path)
                stat = self.path.stat()
                missed = 0 if (stat.st_ino, stat.st_dev) == (held.st_ino, held.st_dev) else missed + 1
            except (FileNotFoundError, NotADirectoryError):
                missed += 1
            except OSError:
                continue
            if missed >= LOST and not self._over.is_set():
                on_lost()
                return

    def _said(self, file: IO[str]) -> str:
        content = self._content(file)
        if not content:
            return "another process"
        what, host, process, since = (content.get(key, "?") for key in ("what", "host", "pid", "since"))
        return f"{what} (host {host}, process {process}, since {since})"

    def _content(self, file: IO[str]) -> dict[str, Any]:
        file.seek(0)
        try:
            content = json.loads(file.read() or "{}")
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}
