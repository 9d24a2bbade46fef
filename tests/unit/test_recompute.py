"""Layers are computed a second time where a GPU would not hold what is inside them."""

from pathlib import Path
from typing import Any

import pytest

from xdist.config import Run
from xdist.engine.micro_batch import largest_fitting
from xdist.engine.recompute import exceeds_capacity, memory_setting
from xdist.estimate.memory import Setting
from xdist.estimate.recommend import GB
from xdist.estimate.shapes import Shape, shape_of
from xdist.run.ds_config import DeepSpeed


def described(**more: Any) -> Run:
    values = {
        "name": "a",
        "folder": "b",
        "model": {"backbone": "large"},
        "data": {"root": "c"},
        "train": {"tasks": [{"task": "xnli"}], "steps": 5},
    }
    return Run.model_validate({**values, **more})


def of(run: Run, shape: Shape, config: DeepSpeed, rows: int | None, ranks: int, masked: bool = False) -> Setting:
    tokens = run.runtime.micro_batch_tokens
    return memory_setting(
        shape, run.model, run.methods, config, micro_batch_tokens=tokens, masked=masked, rows=rows, ranks=ranks
    )


@pytest.mark.parametrize(
    "tokens, gigabytes, expected", [(32768, 80, False), (32768, 24, True), (8192, 16, False), (16384, 16, True)]
)
def test_by_memory(tokens: int, gigabytes: float, expected: bool) -> None:
    run = described(runtime={"micro_batch_tokens": tokens})
    shape = shape_of("large")
    one = of(run, shape, DeepSpeed(Path("a.json"), {}, 2, "bf16", "none", 10**8, None), 60_000, 8)
    assert exceeds_capacity(shape, one, gigabytes * GB) is expected


def test_the_setting_is_that_of_the_run() -> None:
    run = described(robust={"method": "consistency"}, runtime={"micro_batch_tokens": 1000})
    found = of(run, shape_of("large"), DeepSpeed(Path("a.json"), {}, 3, "fp32", "optimizer", None, 77), None, 4)
    assert found == Setting(ranks=4, stage=3, tokens=2000, micro_batches=2, offload="optimizer", live=77)


def test_a_language_model_holds_its_logits() -> None:
    run = described(train={"tasks": [{"task": "mlm", "languages": ["sw"]}], "steps": 5}, runtime={"micro_batch_tokens": 1000})
    found = of(run, shape_of("large"), DeepSpeed(Path("a.json"), {}, 0, "fp32", "none", None, None), None, 1, masked=True)
    assert (found.tied, found.logits) == (True, 150 * shape_of("large").pieces)


@pytest.mark.parametrize("gigabytes, tokens", [(80, 32768), (24, 16384), (16, 8192), (2, 4096)])
def test_as_many_tokens_as_fit_are_taken(gigabytes: float, tokens: int) -> None:
    """By halves, and no fewer than keep a GPU busy: where those do not fit layers are computed twice."""
    shape, run = shape_of("large"), described()
    config = DeepSpeed(Path("a.json"), {}, 1, "bf16", "none", 10**8, None)

    def with_tokens(count: int) -> Setting:
        return memory_setting(
            shape, run.model, run.methods, config, micro_batch_tokens=count, masked=False, rows=60_000, ranks=8
        )

    found = largest_fitting(shape, with_tokens, gigabytes * GB)
    assert found == tokens
    assert exceeds_capacity(shape, with_tokens(2 * found), gigabytes * GB) or found == 32768
    assert not exceeds_capacity(shape, with_tokens(found), gigabytes * GB) or found == 4096
