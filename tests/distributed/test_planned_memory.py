"""What `xdist plan` expects in memory against what two ranks hold: tensors alive, counted to the byte."""

import json
from pathlib import Path

import pytest
from distributed.group import Group

from xdist.config.adapter import Adapter
from xdist.estimate.adapters import settings_of
from xdist.estimate.memory import Setting, activations, copied_memory, moments, trained_in
from xdist.estimate.shapes import shape_of

BUCKET = 30_000
FROZEN = "model.frozen_layers=1"
LORA = "model.adapter={kind: lora, rank: 8}"
# So few that what is kept between steps decides, and so many that activations do.
TOKENS = [32, 1024]


@pytest.mark.parametrize(
    "stage, precision, option",
    [
        (0, "fp32", ""),
        (1, "fp32", ""),
        (2, "fp32", ""),
        (2, "fp32", "model.gradient_checkpointing=true"),
        (2, "fp32", "model.vocabulary=active"),
        (0, "fp32", FROZEN),
        (2, "fp32", FROZEN),
        (3, "fp32", FROZEN),
        (3, "bf16", FROZEN),
        (0, "fp32", LORA),
        (2, "fp32", LORA),
        (3, "bf16", LORA),
        (3, "fp32", ""),
        (1, "bf16", ""),
        (2, "bf16", ""),
        (3, "bf16", ""),
    ],
)
def test_estimate_is_within_15_percent(
    two: Group, small_run: Path, tmp_path: Path, stage: int, precision: str, option: str
) -> None:
    zero = {"stage": stage, "reduce_bucket_size": BUCKET, **({"stage3_param_persistence_threshold": 0} if stage == 3 else {})}
    config = tmp_path / "zero.json"
    config.write_text(json.dumps({"zero_optimization": zero}))
    shape = shape_of(str(small_run.parent / "encoder"))
    options = [
        f"runtime.deepspeed={config}",
        f"runtime.precision={precision}",
        "model.vocabulary=full",
        *filter(None, [option]),
    ]
    checkpointing, frozen = "checkpointing" in option, int(option == FROZEN)
    adapter = settings_of(shape, Adapter(rank=8) if option == LORA else None)
    if adapter:  # of six labels; with so small an encoder's adapter the head counts
        adapter["adapted"] += shape.width**2 + shape.width + 6 * (shape.width + 1)
    ranks = two.run("memory_cases.held", path=str(small_run), overrides=options, tokens=TOKENS)
    for rank in ranks:
        for tokens, found in zip(TOKENS, rank, strict=True):
            assert bool(found["rows"]) == ("active" in option)
            setting = Setting(
                ranks=2,
                stage=stage,
                bf16=precision == "bf16",
                tokens=tokens,
                micro_batches=2,
                checkpointing=checkpointing,
                trained_rows=found["rows"] or None,
                bucket=BUCKET,
                dropout=False,
                cpu=True,
                frozen_layers=frozen,
                **adapter,
            )
            begins, ends, step = moments(shape, setting).values()
            kept, _ = activations(shape, tokens, setting.size, checkpointing, dropout=False, frozen_layers=frozen)
            kept += tokens * setting.size * setting.beside
            gathered = setting.size * (trained_in(shape, setting) if frozen else shape.parameters) if stage == 3 else 0
            assert found["forward"] == pytest.approx(kept + gathered, rel=0.15)
            assert found["backward"] == pytest.approx(max(begins.total, ends.total), rel=0.15)
            assert found["step"] == pytest.approx(step.total, rel=0.15)
    assert sum(rank[0]["states"] for rank in ranks) == pytest.approx(copied_memory(shape, setting, 2), rel=0.15)
