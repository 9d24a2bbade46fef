"""The batches of the next steps, assembled in a thread while the model works on this one's."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from xdist.data.batches import TrainingData
from xdist.data.workers import Workers
from xdist.tasks.batch import Batch

AHEAD = 2  # steps assembled before they are needed
Item = TypeVar("Item")


def make_ahead(make: Callable[[Item], Batch], items: Iterable[Item]) -> Generator[Batch]:
    """What `make` makes of each item, in their order, the next ones in a thread meanwhile; closing the generator ends it. An
    error there is raised where its item is needed."""
    coming: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1, "batches") as thread:
        try:
            for item in items:
                coming.append(thread.submit(make, item))
                if len(coming) > AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


class Ahead:
    """A rank's batches by step. Which they are is a function of the step alone, so steps may be requested in any order; those
    that follow the last requested one are ready, or being made. What goes wrong in the thread is raised, with its traceback,
    where the step is requested."""

    def __init__(self, data: TrainingData, rank: int, world: int, device: torch.device, processes: int = 0) -> None:
        """`processes`: how many make the batches; 0: the thread itself."""
        self._data, self._rank, self._world, self._device, self._processes = data, rank, world, device, processes
        self._thread = ThreadPoolExecutor(max(1, processes), "batches")
        self._workers: Workers | None = None
        self._coming: dict[int, Future[list[Batch]]] = {}
        self._waited = 0.0

    def step(self, number: int) -> Sequence[Batch]:
        """The batches of step `number`, on the CPU, ready to go to the device."""
        if self._processes and self._workers is None:  # now, when all that decides on batches is settled
            self._workers = Workers(self._of_step, self._processes)
        wanted = range(number, min(number + AHEAD, self._data.steps - 1) + 1)
        for other in self._coming.keys() - set(wanted):
            self._coming.pop(other).cancel()
        for other in wanted:
            if other not in self._coming:
                self._coming[other] = self._thread.submit(self._make_step, other)
        began = time.perf_counter()
        try:
            return self._coming.pop(number).result()
        finally:
            self._waited += time.perf_counter() - began

    def forget(self) -> None:
        """Make the batches of the coming steps again, after a change of what decides on them."""
        for future in self._coming.values():
            future.cancel()
        wait(self._coming.values())
        self._coming.clear()
        self._close_workers()

    def take_waited(self) -> float:
        """Seconds spent waiting for batches since this was asked last."""
        seconds, self._waited = self._waited, 0.0
        return seconds

    def close(self) -> None:
        """Begin nothing more; returns when the thread is at rest."""
        self._thread.shutdown(cancel_futures=True)
        self._close_workers()

    def _close_workers(self) -> None:
        if self._workers:
            self._workers.close()
        self._workers = None

    def _of_step(self, number: int) -> list[Batch]:
        return self._data.step(number, self._rank, self._world)

    def _make_step(self, number: int) -> list[Batch]:
        batches = (self._workers or self._of_step)(number)
        return [batch.made_for(self._device, self._data.packed) for batch in batches]
