"""When a run saves, what it does when it cannot, and what saving costs."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xdist.checkpoint import checkpoints, tags
from xdist.config.run import Runtime
from xdist.engine.engine import Engine
from xdist.errors import RunError
from xdist.run import distributed

log = logging.getLogger(__name__)
ATTEMPTS = 3


class Saver:
    """Saves every so many steps or minutes. A save that fails is tried again when the next is due; after three in a row the run
    ends, since it would lose more and more work."""

    def __init__(
        self, folder: Path, engine: Engine, stage: int, runtime: Runtime, more: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self.folder, self.engine, self.stage, self.runtime = folder, engine, stage, runtime
        self.more = more  # to be saved beside the engine's state; collective
        self._started = self._last = time.perf_counter()
        self._seconds = 0.0
        self._failed = 0

    def due(self, done: int) -> bool:
        """Whether to save after `done` steps: the same answer on every rank. Collective where minutes count."""
        if done % self.runtime.save_every == 0:
            return True
        if self.runtime.save_minutes is None:
            return False
        return distributed.agree(time.perf_counter() - self._last >= 60 * self.runtime.save_minutes)

    def save(self, step: int, last: bool = False) -> float:
        """Save; returns the seconds that it took. Raises RunError after the third failure in a row, and at the first one where
        no other save will follow (`last`). Collective."""
        started = time.perf_counter()
        state = {"step": step, "parameters": self.engine.names, **self.more()}
        problem = checkpoints.save(self.folder, self.engine, step, self.stage, self.runtime.keep, state)
        self._last = time.perf_counter()
        self._seconds += self._last - started
        if not problem:
            self._failed = 0
            return self._last - started
        self._failed += 1
        kept = self.last_good()
        if last or self._failed >= ATTEMPTS:
            times = f" ({self._failed} times in a row)" if self._failed > 1 else ""
            raise RunError(f"step {step} could not be saved{times}: {problem}; {kept}; make room, then start the run again")
        if distributed.rank() == 0:
            log.warning("step %d could not be saved: %s; %s; trying again at the next save", step, problem, kept)
        return self._last - started

    def last_good(self) -> str:
        """Where the run can go on from, in words."""
        good = tags.last_good(self.folder)
        return f"the last good checkpoint is {good.path}" if good else "there is no good checkpoint yet"

    @property
    def share(self) -> float:
        """The share of the time since the start that went into saving."""
        return self._seconds / max(time.perf_counter() - self._started, 1e-9)
