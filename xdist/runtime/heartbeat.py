"""A rank that dies ends the others within a minute, by name: a collective alone would wait ten for it, and blame nobody.

Every rank counts in the process group's store, from a thread. Rank 0 watches the counts of all, and on its own host the
processes; the others watch rank 0, its verdict, and the store itself, which may go with rank 0.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

from xdist.runtime import distributed

BEAT = 1.0  # seconds
SILENCE = 40.0  # seconds without a count, by which a rank on another host is dead
GRACE = 1.0  # for a rank that is leaving by itself
VERDICT = "xdist/verdict"

_running: "Heartbeat | None" = None


class Heartbeat:
    """Runs from the start of the work, at which all ranks are there, to `stop`; `on_death` gets the line that says who died,
    in a thread, and ends the process."""

    def __init__(self, on_death: Callable[[str], None], beat: float = BEAT, silence: float = SILENCE) -> None:
        global _running
        self._on_death, self._beat, self._silence = on_death, beat, silence
        self._over = threading.Event()
        self.verdict = ""
        self._rank, self._world = distributed.rank(), distributed.world()
        if self._world == 1:
            return
        store: Any = _get_default_store()
        self._store = store.clone()  # a connection of its own: another thread may wait on the group's
        self._store.set_timeout(timedelta(seconds=max(silence, 10)))
        self._store.set(self._key(self._rank), "0")
        self._store.set(f"xdist/who/{self._rank}", f"{socket.gethostname()} {os.getpid()}")
        self._who = [self._store.get(f"xdist/who/{rank}").decode().split() for rank in range(self._world)]
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()
        _running = self

    def stop(self) -> None:
        """The work is done; what happens to a rank from now on is nobody's concern. Call it before the last barrier."""
        global _running
        if not self._over.is_set() and self._world > 1:
            self._over.set()
            self._thread.join()
        _running = None

    def _run(self) -> None:
        count = 0
        watched = range(1, self._world) if self._rank == 0 else (0,)
        heard = {rank: ("0", time.monotonic()) for rank in watched}
        while not self._over.wait(self._beat):
            count += 1
            try:
                self._store.set(self._key(self._rank), str(count))
                self._watch(heard)
                if self._store.check([VERDICT]):
                    self.verdict = self._store.get(VERDICT).decode()
            except (RuntimeError, OSError):  # every error of the store; it goes with the process of rank 0
                self.verdict = self._died(0, "the process group's store is gone")
            if self.verdict:
                if not self._over.wait(GRACE):
                    self._on_death(self.verdict)
                return

    def _watch(self, heard: dict[int, tuple[str, float]]) -> None:
        counts = self._store.multi_get([self._key(rank) for rank in heard])
        now = time.monotonic()
        for rank, count in zip(list(heard), counts, strict=True):
            before, since = heard[rank]
            if count.decode() != before:
                heard[rank] = (count.decode(), now)
            elif self._gone(rank):
                self.verdict = self._died(rank, "its process is gone")
            elif now - since > self._silence:
                self.verdict = self._died(rank, f"no sign of life for {now - since:.0f} s")
            if self.verdict:
                self._store.set(VERDICT, self.verdict)
                return

    def _gone(self, rank: int) -> bool:
        """Whether the rank ran on this host and runs no more; a process that nobody has waited for yet is dead, too."""
        host, pid = self._who[rank]
        if host != socket.gethostname():
            return False
        try:
            return Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
        except OSError:
            return Path("/proc/self").exists()

    def _died(self, rank: int, why: str) -> str:
        host, pid = self._who[rank]
        return f"rank {rank} on host {host} (process {pid}) died: {why}"

    @staticmethod
    def _key(rank: int) -> str:
        return f"xdist/beat/{rank}"


def verdict(seconds: float = 3 * BEAT + 1) -> str:
    """Who died, "" if nobody did, for a rank whose collective has just failed: waits until the watch had time to see it."""
    watch = _running
    if watch is None or not dist.is_initialized():
        return ""
    until = time.monotonic() + seconds
    while not watch.verdict and time.monotonic() < until:
        time.sleep(0.05)
    return watch.verdict
