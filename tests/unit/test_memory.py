"""Out of memory is one line that says which batch it was and what to change."""

from pathlib import Path

import pytest
import torch
from batch_of import batch_of

from xdist.config import Run
from xdist.engine.out_of_memory import advice, explained
from xdist.errors import RankError
from xdist.tasks.batch import Batch

RUN = {
    "name": "small",
    "folder": "out",
    "model": {"backbone": "encoder"},
    "data": {"root": "benchmark"},
    "train": {"tasks": [{"task": "xnli"}], "steps": 5},
}


def batches(number: int, rank: int, world: int) -> list[Batch]:
    assert (number, rank, world) == (7, 1, 1)
    return [batch_of([[[0, 2]]], head="small"), batch_of([[[0, 5, 6, 2]], [[0, 2]], [[0, 7, 2]]], head="xnli")]


@pytest.mark.parametrize("precision, said", [("fp32", "runtime.precision=bf16, "), ("bf16", "")])
def test_the_largest_batch_and_the_remedies_are_named(precision: str, said: str) -> None:
    run = Run.model_validate({**RUN, "runtime": {"precision": precision, "micro_batch_tokens": 512}})
    with pytest.raises(RankError) as caught:
        with explained(advice(run.model, run.runtime, run.runtime.precision == "bf16"), 1, 7, batches):
            torch.empty(2**60, dtype=torch.uint8)
    assert str(caught.value) == (
        "rank 1 ran out of memory in step 7, whose largest micro-batch is 3 sequences of up to 4 tokens ('xnli'); try a "
        f"smaller runtime.micro_batch_tokens (now 512), model.gradient_checkpointing=true, {said}another runtime.deepspeed "
        "(now zero2; zero2, zero3, zero3_offload need less)"
    )


def test_other_errors_pass(tmp_path: Path) -> None:
    run = Run.model_validate(RUN)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        with explained(advice(run.model, run.runtime, run.runtime.precision == "bf16"), 1, 7, batches):
            torch.ones(2, 3) @ torch.ones(2, 3)
    with explained(advice(run.model, run.runtime, run.runtime.precision == "bf16"), 1, 7, batches):
        pass
