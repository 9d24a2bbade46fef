"""What xdist has to know of where the numbers, texts and figures of a run are shown."""

# ruff: noqa: B027 (a method that does nothing here: a sink leaves out what it cannot show)

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from xdist.registry import Registry


@dataclass(frozen=True, slots=True)
class Start:
    """What a sink is opened for: a start of the run `name` in `folder`, whose config.yaml holds `config`. It resumes after
    `step` (0: from the beginning); what an earlier start has shown of later steps is repeated, and is to be dropped or
    replaced. None: it makes no steps and adds to what is shown, as an evaluation does."""

    folder: Path
    name: str
    config: Mapping[str, Any]
    step: int | None = None


class Sink(ABC):
    """Made on rank 0, which waits for every call: what goes over a network should go there in a thread. What it raises costs
    what was to be shown, never the run (`Sinks`). `name` is what is in `runtime.sinks`."""

    name: ClassVar[str]

    @classmethod
    def check(cls) -> None:
        """Raises UserError where what it needs is not installed; asked before a run begins, at `--dry-run` too."""

    def __init__(self, start: Start) -> None:
        self.start = start

    @abstractmethod
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Values after `step`, by names such as train/loss and eval/xnli/sw."""

    def text(self, step: int, name: str, markdown: str) -> None:
        """As scalars; left out by a sink that cannot show it, as all that follows."""

    def figure(self, step: int, name: str, png: bytes) -> None:
        """The content of a PNG file."""

    def hparams(self, values: Mapping[str, Any], metrics: Mapping[str, float], run: str = "") -> None:
        """What a run was made with (text, numbers, true or false) and what came out of it, to compare runs by; of the run at
        hand, or of another one that is called `run`."""

    def flush(self) -> None:
        """What was given so far has to outlive a killed process: called before a checkpoint and when a task has been scored."""

    def close(self) -> None:
        """The last call, also of a run that breaks."""


SINKS: Registry[type[Sink]] = Registry("sink", "xdist.run.sinks")
register = SINKS.register
