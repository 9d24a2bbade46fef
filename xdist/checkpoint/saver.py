"""When a run saves, whether training waits, what happens where it cannot save, and what saving costs."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xdist.checkpoint import tags
from xdist.checkpoint.host import HostMemory, free_memory, has_room, states_of
from xdist.checkpoint.store import Saving
from xdist.config.runtime import Runtime
from xdist.engine.engine import Engine
from xdist.errors import RunError
from xdist.run import distributed

log = logging.getLogger(__name__)
ATTEMPTS = 3
QUICK = 5.0  # seconds that a save may take for a run that is to leave to make another one, of its last steps


class Saver:
    """Saves every this many steps or minutes. A save that fails is tried again when the next is due; after three in a row the
    run ends, since it would lose more and more work."""

    def __init__(
        self, folder: Path, engine: Engine, stage: int, runtime: Runtime, more: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self.folder, self.engine, self.stage, self.runtime = folder, engine, stage, runtime
        self.more = more  # to be saved in addition to the engine's state; collective
        self.memory = None if runtime.save == "sync" else HostMemory(distributed.device().type == "cuda")
        self._choice_made = runtime.save != "auto"
        self._under_way: Saving | None = None
        self._started = self._last = time.perf_counter()
        self._seconds = 0.0
        self._failed = 0

    def due(self, done: int) -> bool:
        """Whether to save after `done` steps: the same answer on every rank. Collective where minutes count."""
        if done % self.runtime.save_every == 0:
            return True
        if self.runtime.save_minutes is None:
            return False
        return bool(distributed.agree(time.perf_counter() - self._last >= 60 * self.runtime.save_minutes))

    @property
    def busy(self) -> bool:
        """Whether this rank is still writing."""
        return self._under_way is not None and self._under_way.busy

    def save(self, step: int) -> float:
        """Save, or begin to, once the save before is over; returns the seconds that training waited. Raises RunError after the
        third failure in a row. Collective."""
        started = time.perf_counter()
        self._settle()
        self._choose()
        saving = self._begin(step, self.memory)
        if self.memory is None:
            self._note_end(step, saving.settle())
        else:
            self._under_way = saving
        self._last = time.perf_counter()
        return self._count(started)

    def advance(self, busy: bool) -> float:
        """After a step in which any rank was `busy`, or none was: advance a save that is under way. Returns and
        raises as `save` does. Collective."""
        if self._under_way is None or busy:
            return 0.0
        started = time.perf_counter()
        if (outcome := self._under_way.advance()) is not None:
            step, self._under_way = self._under_way.step, None
            self._note_end(step, outcome)
        return self._count(started)

    def finish(self, step: int, stopped: bool) -> None:
        """The last save, of `step`, while training waits. A run that is `stopped` waits for the save that is under way, which
        is over sooner than one from the start; the steps since then are saved as well where that takes seconds. Raises RunError
        after the third failure in a row, for a run that is stopped after the first. Collective."""
        under_way = self._under_way
        good = under_way is not None and not self._settle(patient=stopped)
        if stopped and under_way is not None and good and not distributed.agree(under_way.seconds <= QUICK):
            if distributed.rank() == 0 and step > under_way.step:
                log.info("saved step %d; the %d steps since then will be repeated", under_way.step, step - under_way.step)
            return
        if good and under_way is not None and under_way.step == step:
            return
        self._note_end(step, self._begin(step, None).settle(), last=stopped)

    def resume_point(self) -> str:
        """Where the run can resume from, in words, once what is under way is over. Collective."""
        self._settle(patient=True)
        return self._last_good()

    def close(self) -> None:
        """Let go of the copies, and of a save that other ranks cannot be asked about any more."""
        if self._under_way is not None:
            self._under_way.give_up()
        self._under_way = self.memory = None

    def _begin(self, step: int, memory: HostMemory | None) -> Saving:
        self.engine.settle()
        state = {"step": step, "parameters": self.engine.names, **self.more()}
        return Saving(self.folder, self.engine, step, self.stage, self.runtime.keep, state, memory)

    def _choose(self) -> None:
        """Once, before the first save: whether there is memory for copies."""
        if not self._choice_made:
            self._choice_made = True
            if not has_room(states_of(self.engine), free_memory()):
                self.memory = None

    def _settle(self, patient: bool = False) -> str:
        """Wait for the save that is under way; its outcome, "" where there is none."""
        if self._under_way is None:
            return ""
        saving, self._under_way = self._under_way, None
        outcome = saving.settle()
        self._note_end(saving.step, outcome, patient)
        return outcome

    def _note_end(self, step: int, problem: str, patient: bool = False, last: bool = False) -> None:
        """Note how the save of `step` ended. Raises RunError where it is one failure too many; a `patient` caller says more."""
        if not problem:
            self._failed = 0
            return
        self._failed += 1
        kept = self._last_good()
        if last or (self._failed >= ATTEMPTS and not patient):
            times = f" ({self._failed} times in a row)" if self._failed > 1 else ""
            raise RunError(f"step {step} could not be saved{times}: {problem}; {kept}; make room, then start the run again")
        if distributed.rank() == 0:
            log.warning("step %d could not be saved: %s; %s; trying again at the next save", step, problem, kept)

    def _last_good(self) -> str:
        good = tags.last_good_tag(self.folder)
        return f"the last good checkpoint is {good.path}" if good else "there is no good checkpoint yet"

    def _count(self, started: float) -> float:
        seconds = time.perf_counter() - started
        self._seconds += seconds
        return seconds

    @property
    def share(self) -> float:
        """The share of the time since the start that training waited for saves."""
        return self._seconds / max(time.perf_counter() - self._started, 1e-9)
