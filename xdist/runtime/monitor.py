"""What a run says while it runs: metrics.jsonl and TensorBoard events, written by rank 0."""

import json
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from xdist.files import write_text


class Monitor:
    """Scalars by step. Opened at step `resumed`, it forgets what an earlier life wrote after that step."""

    def __init__(self, metrics: Path, tensorboard: Path, resumed: int = 0) -> None:
        if metrics.exists():
            lines = metrics.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= resumed]
            write_text(metrics, "".join(f"{line}\n" for line in kept))
        self._metrics = metrics.open("a", encoding="utf-8")
        self._writer = SummaryWriter(str(tensorboard), purge_step=resumed + 1)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        self._metrics.write(json.dumps({"step": step, **scalars}) + "\n")
        self._metrics.flush()
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._metrics.close()
        self._writer.close()


def write_scores(metrics: Path, tensorboard: Path, task: str, scores: dict[str, dict[str, float]], metric: str) -> None:
    """eval/<task>/<language> at the last trained step: the official metric of each language that has gold."""
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    step = json.loads(lines[-1])["step"] if lines else 0
    with SummaryWriter(str(tensorboard)) as writer:
        for language, values in scores.items():
            if metric in values:
                writer.add_scalar(f"eval/{task}/{language}", values[metric], step)
