"""What a run says while it runs: metrics.jsonl and TensorBoard events, written by rank 0."""

import json
import logging
import os
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from xdist.files import write_text

log = logging.getLogger(__name__)


class Monitor:
    """Scalars by step. Opened at step `resumed`, it forgets what an earlier life wrote after that step. What it cannot write,
    on a full disk, is lost with a warning: a run does not end for its log."""

    def __init__(self, metrics: Path, tensorboard: Path, resumed: int = 0) -> None:
        if metrics.exists():
            lines = metrics.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= resumed]
            write_text(metrics, "".join(f"{line}\n" for line in kept))
        self._metrics = metrics.open("ab", buffering=0)
        self._tensorboard = tensorboard
        self._writer: SummaryWriter | None = SummaryWriter(str(tensorboard), purge_step=resumed + 1)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        line = (json.dumps({"step": step, **scalars}) + "\n").encode()
        size = os.fstat(self._metrics.fileno()).st_size
        try:
            if self._metrics.write(line) != len(line):
                raise OSError("no room")
        except OSError as error:
            os.truncate(self._metrics.fileno(), size)  # no torn line
            log.warning("step %d is missing from %s: %s", step, self._metrics.name, error.strerror or error)
        try:
            self._writer = self._writer or SummaryWriter(str(self._tensorboard))
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)
        except OSError as error:  # also what its thread met with since the last time; the thread is gone with it
            self._writer = None
            log.warning("TensorBoard's events up to step %d are incomplete: %s", step, error.strerror or error)

    def close(self) -> None:
        self._metrics.close()
        if self._writer:
            try:
                self._writer.close()
            except OSError as error:
                log.warning("TensorBoard's last events are missing: %s", error.strerror or error)


def write_scores(metrics: Path, tensorboard: Path, task: str, scores: dict[str, dict[str, float]], metric: str) -> None:
    """eval/<task>/<language> at the last trained step: the official metric of each language that has gold."""
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    step = json.loads(lines[-1])["step"] if lines else 0
    with SummaryWriter(str(tensorboard)) as writer:
        for language, values in scores.items():
            if metric in values:
                writer.add_scalar(f"eval/{task}/{language}", values[metric], step)
