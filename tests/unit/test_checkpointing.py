"""Layers are computed a second time where a GPU would not hold what is inside them."""

from typing import Any

import pytest

from xdist.config import Run
from xdist.runtime.checkpointing import needed, setting
from xdist.runtime.planning.memory import Setting
from xdist.runtime.planning.recommend import GB
from xdist.runtime.planning.shapes import shape_of

BF16 = {"bf16": {"enabled": True}}


def described(**more: Any) -> Run:
    values = {
        "name": "a",
        "folder": "b",
        "model": {"backbone": "large"},
        "data": {"root": "c"},
        "train": {"tasks": [{"task": "xnli"}], "steps": 5},
    }
    return Run.model_validate({**values, **more})


@pytest.mark.parametrize(
    "tokens, gigabytes, expected", [(32768, 80, False), (32768, 24, True), (8192, 16, False), (16384, 16, True)]
)
def test_by_memory(tokens: int, gigabytes: float, expected: bool) -> None:
    run = described(runtime={"micro_batch_tokens": tokens})
    shape = shape_of("large")
    one = setting(run, shape, {"zero_optimization": {"stage": 2, "reduce_bucket_size": 10**8}, **BF16}, 60_000, 8)
    assert needed(shape, one, gigabytes * GB) is expected


def test_the_setting_is_that_of_the_run() -> None:
    zero = {"stage": 3, "reduce_bucket_size": "auto", "stage3_max_live_parameters": 77, "offload_optimizer": {"device": "cpu"}}
    run = described(robust={"method": "consistency"}, runtime={"micro_batch_tokens": 1000})
    found = setting(run, shape_of("large"), {"zero_optimization": zero}, None, 4)
    assert found == Setting(ranks=4, stage=3, tokens=2000, micro_batches=2, offload="optimizer", live=77)


def test_a_language_model_holds_its_logits() -> None:
    run = described(train={"tasks": [{"task": "mlm", "languages": ["sw"]}], "steps": 5}, runtime={"micro_batch_tokens": 1000})
    found = setting(run, shape_of("large"), {}, None, 1)
    assert (found.tied, found.logits) == (True, 150 * shape_of("large").pieces)
