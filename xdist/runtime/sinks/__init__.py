"""Where the numbers, texts and figures of a run go: the sinks that are known, and those of a run that is going on.

Ours are registered as those of others are: `register(sink)`, then its name is valid in `runtime.sinks`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xdist.errors import UserError, unknown
from xdist.runtime.sinks.json_lines import JsonLines
from xdist.runtime.sinks.sink import Sink, Start
from xdist.runtime.sinks.tensorboard import TensorBoard

__all__ = ["SINKS", "JsonLines", "Sink", "Sinks", "Start", "TensorBoard", "missing", "register"]

log = logging.getLogger(__name__)

SINKS: dict[str, type[Sink]] = {}
_told: set[tuple[Path, str]] = set()  # folder and sink: a process opens the sinks of a run to train and again to evaluate


def register(sink: type[Sink]) -> None:
    """Make a sink known. Raises UserError where another one has its name."""
    if SINKS.setdefault(sink.name, sink) is not sink:
        raise UserError(f"two sinks are called '{sink.name}'")


for ours in (JsonLines, TensorBoard):
    register(ours)


def missing(name: str) -> str | None:
    """What to say of a sink that is not known, with the nearest name; None where it is."""
    return None if name in SINKS else unknown("sink", name, SINKS)


class Sinks:
    """Open sinks, none where no name is given. What one of them raises is told once and ends nothing: it is called again, since
    networks and disks come back; one that could not be opened is left out."""

    def __init__(self, names: Iterable[str], start: Start) -> None:
        self._start = start
        self._open: list[Sink] = []
        for name in dict.fromkeys(names):
            with self._kept_in(name):
                self._open.append(SINKS[name](start))

    @contextmanager
    def _kept_in(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (self._start.folder, name) not in _told:
                _told.add((self._start.folder, name))
                told = f"{type(error).__name__}: {error}".splitlines()[0]
                said = error.strerror or told if isinstance(error, OSError) else told
                log.warning("what sink '%s' shows of %s is incomplete, the run goes on: %s", name, self._start.name, said)

    def _each(self, call: Callable[[Sink], None]) -> None:
        for sink in self._open:
            with self._kept_in(sink.name):
                call(sink)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._each(lambda sink: sink.scalars(step, values))

    def text(self, step: int, name: str, markdown: str) -> None:
        self._each(lambda sink: sink.text(step, name, markdown))

    def figure(self, step: int, name: str, png: bytes) -> None:
        self._each(lambda sink: sink.figure(step, name, png))

    def hparams(self, values: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        self._each(lambda sink: sink.hparams(values, metrics))

    def flush(self) -> None:
        self._each(lambda sink: sink.flush())

    def close(self) -> None:
        self._each(lambda sink: sink.close())
