"""What is logged of steps: asked of the device at once, and read when it is at the next step, so that nothing waits for it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from xdist.checkpoint.saver import Saver
from xdist.run import distributed
from xdist.run.arriving import Arriving
from xdist.run.progress import Progress
from xdist.run.sinks import Sinks
from xdist.training.record import StepRecord

if TYPE_CHECKING:
    from xdist.training.loop import Training


@dataclass(slots=True)
class WaitingLine:
    """What of a logged step is known at once; the rest arrives."""

    record: StepRecord
    done: int
    losses: Arriving  # of each subset
    scalars: dict[str, float]
    waited: float  # seconds, of this rank, for batches
    spent: float  # seconds of training since the last line


class StepLog:
    """The lines of a run's steps, in their order, each once. The line of a step is held until the next step was started, or
    until the engine has settled, and then told."""

    def __init__(self, training: "Training", sinks: Sinks, progress: Progress, saver: Saver) -> None:
        self._training, self._sinks, self._progress, self._saver = training, sinks, progress, saver
        self._tokens, self._since = 0.0, time.perf_counter()
        self._logged = self._since
        self._held: WaitingLine | None = None
        self.loss: float | None = None  # that was logged last

    def add_pause(self, seconds: float) -> None:
        """Time that passed and was not training."""
        self._since += seconds

    def count(self, record: StepRecord) -> None:
        self._tokens += record.tokens

    def hold_line(self, record: StepRecord, done: int) -> None:
        """The line of the step that has just been given to the device, after which `done` are done. Nothing waits."""
        engine, now = self._training.engine, time.perf_counter()
        record.send()
        spent = now - self._since
        scalars = {
            "train/lr": engine.used_rate,
            "train/tokens_per_second": self._tokens / spent,
            # All that passed since the last line, times ranks: the sum over lines is what the training cost.
            "train/rank_seconds": (now - self._logged) * self._training.world,
            "train/saving_share": self._saver.share,
            **(self._outcome() if engine.settled else {}),
        }
        losses, waited = self._training.losses.send(), self._training.input.take_waited()
        self._held = WaitingLine(record, done, losses, scalars, waited, spent)
        self._tokens, self._since, self._logged = 0.0, now, now

    def write_line(self, more: Mapping[str, float] = MappingProxyType({}), done: int = 0) -> None:
        """Write the line that is held, with `more` in it; where none is, `more` alone, of the step after which `done` are done.
        Collective."""
        held, self._held = self._held, None
        scalars = dict(more)
        if held is not None:
            done, scalars = held.done, {**self._line(held), **more}
        if scalars:
            self._sinks.scalars(done, scalars)

    def _line(self, held: WaitingLine) -> dict[str, float]:
        data = self._training.data
        means = held.record.means()
        (waited,) = distributed.sum_of_hosts([held.waited])
        self.loss = means["train/loss"]
        self._progress.note(f"loss {self.loss:.3f}")
        found = {
            **means,
            **self._outcome(),
            **held.scalars,
            "train/peak_gb": distributed.peak_memory() / 1e9,
            "train/waiting_percent": 100 * waited / self._training.world / held.spent,
        }
        if len(data.subsets) > 1:
            found |= {f"loss/{name}": value for name, value in self._training.losses.means(held.losses).items()}
            found |= data.mixture(held.done)
        return found

    def _outcome(self) -> dict[str, float]:
        """Of the last step whose outcome is known."""
        engine = self._training.engine
        found = {"train/grad_norm": engine.grad_norm, "train/skipped_steps": float(engine.skipped)}
        return found | ({"train/loss_scale": engine.loss_scale.value} if engine.loss_scale else {})
