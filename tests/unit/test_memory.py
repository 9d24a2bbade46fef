"""Out of memory is one line that says which batch it was and what to change."""

from pathlib import Path

import pytest
import torch
from batch_of import batch_of

from xdist.config import Run
from xdist.engine.out_of_memory import explain_errors, memory_advice
from xdist.errors import RankError
from xdist.run import ds_config
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


@pytest.mark.parametrize(
    "precision, said, name, less",
    [
        ("fp32", "runtime.precision=bf16, ", "zero0", "zero0; zero2, zero3, zero3_offload need less"),
        ("bf16", "", "zero2", "zero2; zero3, zero3_offload need less"),
        ("bf16", "", "zero3", "zero3; zero3_offload needs less"),
    ],
)
def test_the_largest_batch_and_the_remedies_are_named(precision: str, said: str, name: str, less: str) -> None:
    run = Run.model_validate({**RUN, "runtime": {"precision": precision}})
    config = ds_config.settings(ds_config.find(name), run.runtime.precision, 1.0)
    with pytest.raises(RankError) as caught:
        with explain_errors(memory_advice(run.model, run.runtime, config, 512), 1, 7, batches):
            torch.empty(2**60, dtype=torch.uint8)
    assert str(caught.value) == (
        "rank 1 ran out of memory in step 7, whose largest micro-batch is 3 sequences of up to 4 tokens ('xnli'); try a "
        f"smaller runtime.micro_batch_tokens (now 512), model.gradient_checkpointing=true, {said}another runtime.deepspeed "
        f"(now {less})"
    )


def test_other_errors_pass(tmp_path: Path) -> None:
    run, config = Run.model_validate(RUN), ds_config.settings(ds_config.find("zero2"), "fp32", 1.0)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        with explain_errors(memory_advice(run.model, run.runtime, config, 512), 1, 7, batches):
            torch.ones(2, 3) @ torch.ones(2, 3)
    with explain_errors(memory_advice(run.model, run.runtime, config, 512), 1, 7, batches):
        pass
