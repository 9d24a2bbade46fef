"""TensorBoard's events, in the folder tensorboard/ of a run.

Its page shows scalars in sections by what is before the first "/", in the order of letters. So what is looked at first is
shown a second time, in its own section that comes before all others.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from xdist.files import yaml_text
from xdist.run.folder import RunFolder
from xdist.run.sinks.sink import Sink, Start

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


FIRST = "at a glance"
ORDER = {
    "train/loss": "1 loss",
    "train/lr": "2 learning rate",
    "train/tokens_per_second": "3 tokens per second",
    "dev/value": "4 dev",
}
MEANS = "mean/"  # a task's mean over a group of languages
# The page "Custom scalars": several lines in one picture.
LAYOUT = {
    "xdist": {
        "loss": ["Multiline", ["train/loss", "robust/loss_clean", "robust/loss_perturbed"]],
        "loss by task and language": ["Multiline", ["loss/.*"]],
        "learning rate": ["Multiline", ["train/lr"]],
        "tokens per second": ["Multiline", ["train/tokens_per_second"]],
        "dev": ["Multiline", ["dev/.*"]],
        "scores by group": ["Multiline", [f"{MEANS}.*"]],
    }
}


def glance(name: str) -> str | None:
    """Under which name a scalar is shown first, too."""
    if name.startswith(MEANS):
        return f"{FIRST}/5 {name.removeprefix(MEANS)}"
    return f"{FIRST}/{ORDER[name]}" if name in ORDER else None


class TensorBoard(Sink):
    """What an earlier start wrote after the step that this one resumes from stays in its file; TensorBoard leaves it out."""

    name = "tensorboard"

    def __init__(self, start: Start) -> None:
        super().__init__(start)
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
                new = not any(self._folder.glob("events*"))
                self._writer = SummaryWriter(str(self._folder), purge_step=self._purge)
                self._purge = None  # a second writer must not take back what the first one wrote
                if new and self.start.config:
                    self._writer.add_custom_scalars(LAYOUT)
                    self._writer.add_text("configuration", f"```yaml\n{yaml_text(self.start.config)}```", 0)
            yield self._writer
        except OSError:  # also what its thread met with since the last time; the thread is gone with it
            self._writer = None
            raise

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self._writing() as writer:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
                if first := glance(name):
                    writer.add_scalar(first, value, step)

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
