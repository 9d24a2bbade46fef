"""A progress bar on rank 0's terminal; a line now and then where there is no terminal, as in a cluster's log."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 10


class Progress:
    """`total` units of which `done` are done; shows the share, the time left and a note."""

    def __init__(self, title: str, total: float, done: float = 0, enabled: bool = True) -> None:
        self.title, self.total, self.done, self._note = title, total, done, ""
        self._begun, self._began_at, self._last_line = time.perf_counter(), done, time.perf_counter()
        self._bar: RichProgress | None = None
        self._enabled = enabled
        if enabled and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            texts = (TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[note]}"))
            self._bar = RichProgress(*columns, TimeRemainingColumn(), *texts, console=Console(stderr=True))
            self._task = self._bar.add_task(title, total=total, completed=int(done), rate="", note="")
            self._bar.start()

    def note(self, text: str) -> None:
        self._note = text

    def advance(self, units: float = 1) -> None:
        self.done += units
        if self._bar:
            self._bar.update(self._task, completed=self.done, rate=f"{self._rate():.1f}/s", note=self._note)
        elif self._enabled and time.perf_counter() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.perf_counter()
            self._line()

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
        elif self._enabled:
            self._line()

    def _rate(self) -> float:
        """Units a second since the start."""
        return (self.done - self._began_at) / max(time.perf_counter() - self._begun, 1e-9)

    def _line(self) -> None:
        elapsed = time.perf_counter() - self._begun
        text = f"{self.title}: {self.done:.0f}/{self.total:.0f}, {elapsed:.0f} s"
        if rate := self._rate():
            text += f", {rate:.1f}/s, {(self.total - self.done) / rate:.0f} s left"
        print(f"{text} {self._note}".rstrip(), file=sys.stderr, flush=True)
