"""TensorBoard's events, in the folder tensorboard/ of a run."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from xdist.run.folder import RunFolder
from xdist.run.sinks.sink import Sink, Start

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class TensorBoard(Sink):
    """What an earlier start wrote after the step that this one goes on from stays in its file; TensorBoard leaves it out."""

    name = "tensorboard"

    def __init__(self, start: Start) -> None:
        self._folder = RunFolder(start.folder).tensorboard
        self._purge = None if start.step is None else start.step + 1
        self._writer: SummaryWriter | None = None
        with suppress(OSError), self._writing():  # where there is no room yet, the next call tries again, and says so
            pass

    @contextmanager
    def _writing(self) -> "Iterator[SummaryWriter]":
        from torch.utils.tensorboard.writer import SummaryWriter  # imports torch

        try:
            if self._writer is None:
                self._writer = SummaryWriter(str(self._folder), purge_step=self._purge)
                self._purge = None  # a second writer must not take back what the first one wrote
            yield self._writer
        except OSError:  # also what its thread met with since the last time; the thread is gone with it
            self._writer = None
            raise

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self._writing() as writer:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

    def text(self, step: int, name: str, markdown: str) -> None:
        with self._writing() as writer:
            writer.add_text(name, markdown, step)

    def figure(self, step: int, name: str, png: bytes) -> None:
        import numpy as np
        from PIL import Image

        with self._writing() as writer:
            writer.add_image(name, np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), step, dataformats="HWC")

    def hparams(self, values: Mapping[str, Any], metrics: Mapping[str, float], run: str = "") -> None:
        with self._writing() as writer:
            writer.add_hparams(dict(values), dict(metrics), run_name=run or ".", global_step=0)

    def flush(self) -> None:
        with self._writing() as writer:
            writer.flush()

    def close(self) -> None:
        if self._writer:
            with self._writing() as writer:
                writer.close()
