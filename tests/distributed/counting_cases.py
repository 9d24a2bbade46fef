"""What a step costs in kernels and waits, by the counters of benchmarks/step_counts.py; and a device that is too small."""

import sys
from pathlib import Path
from typing import Any

import torch
from distributed.cases import _training

from xdist.model.model import Model
from xdist.run import distributed
from xdist.tasks.batch import View

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))


def counts(path: str, overrides: list[str]) -> dict[str, Any]:
    import step_counts

    return step_counts.counts(Path(path), *overrides)


def halved(path: str, overrides: list[str], limit: int) -> dict[str, Any]:
    """The tokens of a micro-batch, and the loss of the first step, where the last rank's device has room for `limit` tokens."""
    plain, small = Model.forward, distributed.rank() == distributed.world() - 1

    def forward(self: Model, *views: View, **options: Any) -> tuple[torch.Tensor, ...]:
        if small and any(len(view.batch.tokens) > limit for view in views):
            raise torch.OutOfMemoryError("there is no more")
        return plain(self, *views, **options)

    made = _training(path, [*overrides, "runtime.micro_batch_tokens=auto"])
    Model.forward = forward  # type: ignore[method-assign]
    try:
        made.fit(0)
        gradients = sum(parameter.grad is not None for parameter in made.engine.module.parameters())
        losses = [made.step(number).means()["train/loss"] for number in range(2)]
    finally:
        Model.forward = plain  # type: ignore[method-assign]
        made.close()
    return {"tokens": made.data.budget, "losses": losses, "gradients": gradients}
