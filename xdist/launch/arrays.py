"""Many runs submitted as one array of jobs, for schedulers that have arrays (`Capabilities.arrays`)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class JobArray:
    """Runs of one study that are submitted as one: their names, of which the first is element 1. `folder` holds its text, and
    under the number of each element a link to the run folder. At most `at_once` of them run at a time."""

    name: str
    folder: Path
    runs: tuple[str, ...]
    at_once: int


class JobArrays(ABC):
    """What a Scheduler has besides. An array is held until each element knows what it waits for, so that nothing begins too
    early where the caller is interrupted. Every method but `element` may raise UserError with what the scheduler's command
    said."""

    @abstractmethod
    def render_array(self, array: JobArray, options: Any) -> tuple[str, str]:
        """The name of a file, and the text of an array whose elements do what the texts of their runs say. Raises UserError as
        `render` of a Kind."""

    @abstractmethod
    def largest_array(self) -> int:
        """How many elements an array may have, as far as that can be asked here."""

    @abstractmethod
    def submit_held(self, file: Path) -> str:
        """Hand over the text of an array, of which nothing begins before it is released; returns its number or name."""

    @abstractmethod
    def element(self, array: str, number: int) -> str:
        """The job that is element `number` of an array, as `ask` and `cancel` know it."""

    @abstractmethod
    def begin_after(self, array: str, numbers: Sequence[int], after: Sequence[str]) -> None:
        """Let these elements of a held array wait until the jobs `after`, which may be others of its elements, have ended
        well."""

    @abstractmethod
    def release(self, array: str) -> None:
        """Let a held array begin."""
