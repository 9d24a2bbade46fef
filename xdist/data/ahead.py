"""The batches of the next steps, assembled in a thread while the model works on this one's."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from xdist.data.batches import TrainingData
from xdist.tasks.batch import Batch

AHEAD = 2  # steps assembled before they are asked for


class Ahead:
    """A rank's batches by step. Which they are is a function of the step alone, so steps may be asked for in any order; those
    that follow the last one asked for are ready, or being made. What goes wrong in the thread is raised, with its traceback,
    where the step is asked for."""

    def __init__(self, data: TrainingData, rank: int, world: int, pinned: bool) -> None:
        self._data, self._rank, self._world, self._pinned = data, rank, world, pinned
        self._thread = ThreadPoolExecutor(1, "batches")
        self._coming: dict[int, Future[list[Batch]]] = {}
        self._waited = 0.0

    def step(self, number: int) -> Sequence[Batch]:
        """The batches of step `number`, on the CPU, in pinned memory where that was asked for."""
        wanted = range(number, min(number + AHEAD, self._data.steps - 1) + 1)
        for other in self._coming.keys() - set(wanted):
            self._coming.pop(other).cancel()
        for other in wanted:
            if other not in self._coming:
                self._coming[other] = self._thread.submit(self._made, other)
        began = time.perf_counter()
        try:
            return self._coming.pop(number).result()
        finally:
            self._waited += time.perf_counter() - began

    def waited(self) -> float:
        """Seconds spent waiting for batches since this was asked last."""
        seconds, self._waited = self._waited, 0.0
        return seconds

    def close(self) -> None:
        """Begin nothing more; returns when the thread is at rest."""
        self._thread.shutdown(cancel_futures=True)

    def _made(self, number: int) -> list[Batch]:
        batches = self._data.step(number, self._rank, self._world)
        return [batch.pinned() for batch in batches] if self._pinned else batches
