"""A rank that dies ends the others within a minute, by name: a collective alone would wait ten for it, and name no rank.

Every rank counts in the process group's store. Rank 0 watches the counts of all, and on its own host the processes; the others
watch rank 0, and what it says of the rest.

One thread asks the store, another judges by the clock: the store is in the process of rank 0 or of its launcher, and where
that is stopped or out of reach a question is not answered, with any timeout. A process that was stopped itself, as
by SLURM's gang scheduling or Ctrl-Z, has heard nothing meanwhile, which says nothing of the others: it counts again.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

from xdist.run import distributed
from xdist.run.living import is_alive

BEAT = 1.0  # seconds
SILENCE = 40.0  # seconds without a count, by which a rank on another host is dead
GAP = 5  # beats between two looks at the clock, by which this process was stopped itself
GRACE = 1.0  # for a rank that is leaving by itself
LEAVING = 10.0  # seconds from the last barrier within which every rank has left it
END = "xdist/end"

_running: "Heartbeat | None" = None


@dataclass(frozen=True, slots=True)
class End:
    """Why all ranks end: `dead` is the line that names a dead one; "" where a rank leaves by itself, and has said why. `code`
    is the exit code of all."""

    dead: str
    code: int = 1


class Heartbeat:
    """Runs from when all ranks have joined to `stop`; `on_end` gets the reason to end, in a thread, and ends the process."""

    def __init__(self, on_end: Callable[[End], None], beat: float = BEAT, silence: float = SILENCE) -> None:
        global _running
        self._on_end, self._beat, self._silence = on_end, beat, silence
        self._over, self._hurry, self._published = threading.Event(), threading.Event(), threading.Event()
        self.end: End | None = None
        self._finishing = False
        self._rank, self._world = distributed.rank(), distributed.world()
        if self._world == 1:
            return
        store: Any = _get_default_store()
        self._store = store.clone()  # a separate connection: another thread may wait on the group's
        self._store.set(self._key(self._rank), "0")
        self._store.set(f"xdist/who/{self._rank}", f"{socket.gethostname()} {os.getpid()}")
        self._who = [self._store.get(f"xdist/who/{rank}").decode().split() for rank in range(self._world)]
        self._store.set_timeout(timedelta(days=1))  # the thread that waits for an answer here is not the one that judges
        self._lost = False
        self._guard = threading.Lock()
        self._watched = range(1, self._world) if self._rank == 0 else range(1)
        self._count_anew(time.monotonic())
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._ask, self._judge)]
        for thread in self._threads:
            thread.start()
        _running = self

    def finish(self) -> None:
        """The last barrier, which is watched as all before it are: the work is done on all ranks. They leave it one after the
        other, and the store goes with rank 0, for which no rank is taken for dead within `LEAVING`."""
        self._finishing = True
        distributed.barrier()
        self.stop()

    def stop(self) -> None:
        """From now on the state of a rank is ignored."""
        global _running
        _running = None
        if self._world > 1:
            self._over.set()
            self._hurry.set()
            for thread in self._threads:
                thread.join(GRACE)  # the one that asks may never be answered

    def tell(self, code: int) -> None:
        """Before this rank leaves, having said why: the others are to end as well, with this code, and say nothing."""
        if self._world > 1 and not self.end:
            self.end = End("", code)
            self._hurry.set()
            self._published.wait(GRACE)
            if self._rank == 0:
                time.sleep(1.5 * self._beat)  # the store may go with this process: they look at it once a beat

    def _ask(self) -> None:
        count = 0
        counts: list[bytes] = []
        while not self._over.is_set():
            count += 1
            try:
                self._store.set(self._key(self._rank), str(count))
                found = self._store.multi_get([self._key(rank) for rank in self._watched])
                if end := self.end:  # the first word counts: who has said why it leaves is not called dead for being gone
                    self.end = End(*json.loads(self._store.compare_set(END, "", json.dumps([end.dead, end.code]))))
                    self._published.set()
                elif self._store.check([END]):
                    self.end = End(*json.loads(self._store.get(END)))
            except (RuntimeError, OSError):  # every error of the store; it goes with its process
                self._lost = True
                return
            with self._guard:
                self._answered = time.monotonic()
                for rank, before, now in zip(self._watched, counts or found, found, strict=True):
                    if now != before:
                        self._heard[rank] = self._answered
            counts = found
            self._hurry.wait(self._beat)
            self._hurry.clear()

    def _judge(self) -> None:
        """Never asks the store, so that it is never kept waiting."""
        looked = time.monotonic()
        while not self._over.wait(self._beat):
            with self._guard:
                now = time.monotonic()
                if now - looked > GAP * self._beat:
                    self._count_anew(now)
                looked = now
                if not self.end and (dead := self._dead(now)):
                    self.end = End(dead)
                    self._hurry.set()
            if self.end:
                grace = LEAVING if self._finishing else GRACE
                # On rank 0 longer, since the others read there why, once a beat.
                if not self._over.wait(grace if self._rank else grace + 1.5 * self._beat):
                    self._on_end(self.end)
                return

    def _count_anew(self, now: float) -> None:
        """As if the store had answered now, and all had been heard."""
        self._answered, self._heard = now, dict.fromkeys(self._watched, now)

    def _dead(self, now: float) -> str:
        """Who is dead by what is known `now`, "" if none is. Ranks are silent as of the store's last answer: nothing can be
        heard of them while it does not answer."""
        if self._lost:
            return self._died(0, "the process group's store is gone")
        for rank, heard in self._heard.items():
            if self._gone(rank):
                return self._died(rank, "its process is gone")
            if self._answered - heard > self._silence:
                return self._died(rank, f"no sign of life for {self._answered - heard:.0f} s")
        if now - self._answered > self._silence:
            silent = f"no answer from the process group's store for {now - self._answered:.0f} s"
            return self._died(0, silent) if self._rank else silent
        return ""

    def _gone(self, rank: int) -> bool:
        """Whether the rank ran on this host and runs no more; a process that was not waited for yet is dead, too."""
        host, pid = self._who[rank]
        if host != socket.gethostname():
            return False
        return is_alive(pid) is False

    def _died(self, rank: int, why: str) -> str:
        host, pid = self._who[rank]
        return f"rank {rank} on host {host} (process {pid}) died: {why}"

    @staticmethod
    def _key(rank: int) -> str:
        return f"xdist/beat/{rank}"


def reason_to_end(seconds: float = 3 * BEAT + 1) -> End | None:
    """Why all ranks end, None if nothing is wrong, for a rank whose collective has just failed: waits until the watch had time
    to see it."""
    watch = _running
    if watch is None or not dist.is_initialized():
        return None
    until = time.monotonic() + seconds
    while not watch.end and time.monotonic() < until:
        time.sleep(0.05)
    return watch.end


def tell(code: int) -> None:
    """As `Heartbeat.tell`, where one runs."""
    if _running:
        _running.tell(code)
