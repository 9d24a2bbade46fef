"""A progress bar on a terminal, rank 0's own or the launcher's; a line now and then where there is none, as in a log."""

import sys
import time
from contextlib import suppress

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from xdist.run.lasting import inform_launcher

SECONDS_BETWEEN_LINES = 10
SECONDS_BETWEEN_MESSAGES = 0.1
WIDE = 120  # columns of a terminal that has room for the rate and a name of any length
LONG = 22  # letters of a title next to a bar elsewhere
NARROW = 8  # columns of the bar there


def say(text: str) -> None:
    """A line on stderr, where it can be written: a log may be on the disk that is full, which must not end a run."""
    with suppress(OSError):
        print(text.rstrip(), file=sys.stderr, flush=True)


class Progress:
    """`total` units of which `done` are done; shows the share, the time left and a note. `in_bytes`: the units are bytes."""

    def __init__(self, title: str, total: float, done: float = 0, enabled: bool = True, in_bytes: bool = False) -> None:
        self.title, self.total, self.done, self._note = title, total, done, ""
        self._begun, self._began_at, self._last_line = time.perf_counter(), done, time.perf_counter()
        self._last_message = 0.0
        self._bar: RichProgress | None = None
        self._wide, self._room = True, 0
        self._enabled, self._in_bytes = enabled, in_bytes
        if enabled and sys.stderr.isatty():
            console = Console(stderr=True)
            share = DownloadColumn() if in_bytes else MofNCompleteColumn()
            texts = [TextColumn("{task.fields[note]}")]
            self._wide = console.width >= WIDE
            if self._wide:
                texts = [TextColumn("{task.fields[rate]}"), *texts]
            if len(title) > LONG and not self._wide:  # the name of a run is never cut: it is above
                say(title)
                title = title.partition(" ")[0]
            bar = BarColumn(40 if self._wide else NARROW)
            count = len("999.9/999.9 GB") if in_bytes else 2 * len(f"{total:.0f}") + 1
            self._room = console.width - len(title) - NARROW - count - len(" 0:00:00 left 0:00:00 ") - 3
            times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
            self._bar = RichProgress(TextColumn("{task.description}"), bar, share, *times, *texts, console=console)
            self._task = self._bar.add_task(title, total=total, completed=int(done), rate="", note="")
            self._bar.start()

    def note(self, text: str) -> None:
        self._note = text

    def advance(self, units: float = 1) -> None:
        self.done += units
        if self._bar:
            self._bar.update(self._task, completed=self.done, rate=self._shown(self._rate()), note=self._short())
        elif self._enabled:
            now = time.perf_counter()
            if now - self._last_message > SECONDS_BETWEEN_MESSAGES:
                self._last_message = now
                self._tell()
            if now - self._last_line > SECONDS_BETWEEN_LINES:
                self._last_line = now
                self._line()

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
        elif self._enabled:
            self._tell()
            inform_launcher(over=self.title)
            self._line()

    def _tell(self) -> None:
        """The launcher, which may have a terminal."""
        inform_launcher(progress=self.title, total=self.total, done=self.done, note=self._note, in_bytes=self._in_bytes)

    def _short(self) -> str:
        """As many parts of the note as there is room for."""
        if self._wide:
            return self._note
        parts = self._note.split(", ")
        return next((text for n in range(len(parts), 0, -1) if len(text := ", ".join(parts[:n])) <= self._room), "")

    def _rate(self) -> float:
        """Units a second since the start."""
        return (self.done - self._began_at) / max(time.perf_counter() - self._begun, 1e-9)

    def _shown(self, rate: float) -> str:
        return f"{decimal(int(rate)) if self._in_bytes else f'{rate:.1f}'}/s"

    def _line(self) -> None:
        elapsed = time.perf_counter() - self._begun
        done, total = (decimal(int(n)) if self._in_bytes else f"{n:.0f}" for n in (self.done, self.total))
        text = f"{self.title}: {done}/{total}, {elapsed:.0f} s"
        if rate := self._rate():
            text += f", {self._shown(rate)}, {(self.total - self.done) / rate:.0f} s left"
        say(f"{text} {self._note}")
