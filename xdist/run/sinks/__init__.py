"""Where the numbers, texts and figures of a run go: the existing sinks, and those of a running run.

Ours are registered by the same call as those of plugins.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xdist.config.differing import leaves
from xdist.run.sinks.json_lines import JsonLines
from xdist.run.sinks.sink import SINKS, Sink, Start, register
from xdist.run.sinks.tensorboard import TensorBoard
from xdist.run.sinks.wandb import WeightsAndBiases

__all__ = ["SINKS", "JsonLines", "Sink", "Sinks", "Start", "TensorBoard", "register"]

log = logging.getLogger(__name__)

_told: set[tuple[Path, str]] = set()  # folder and sink: a process opens the sinks of a run to train and again to evaluate

for ours in (JsonLines, TensorBoard, WeightsAndBiases):
    register(ours)


class Sinks:
    """Open sinks, none where no name is given. An error of one of them is reported once and ends nothing: it is called again,
    since networks and disks come back; one that could not be opened is left out."""

    def __init__(self, names: Iterable[str], start: Start) -> None:
        self._start = start
        self._open: list[Sink] = []
        for name in dict.fromkeys(names):
            with self._kept_in(name):
                self._open.append(SINKS.get(name)(start))

    @contextmanager
    def _kept_in(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (self._start.folder, name) not in _told:
                _told.add((self._start.folder, name))
                told = f"{type(error).__name__}: {error}".splitlines()[0]
                said = error.strerror or told if isinstance(error, OSError) else told
                log.warning("what sink '%s' shows of %s is incomplete, the run continues: %s", name, self._start.name, said)

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

    def outcome(self, metrics: Mapping[str, float]) -> None:
        """The results of the run, in addition to its description."""
        plain = {key: value for key, value in leaves(dict(self._start.config)) if key not in ("name", "folder")}
        told = {
            key: value if isinstance(value, bool | int | float) else str(value)
            for key, value in plain.items()
            if value is not None
        }
        self.hparams(told, metrics)

    def flush(self) -> None:
        self._each(lambda sink: sink.flush())

    def close(self) -> None:
        self._each(lambda sink: sink.close())
