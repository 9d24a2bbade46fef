"""Training in 16 bits is training in fp32 up to their rounding, at every ZeRO stage."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from distributed.group import Group
from distributed.test_same_result import ACCUMULATED, METHODS, STAGES, STEPS, stage


@pytest.fixture(scope="module")
def in_fp32(two: Group, small_run: Path) -> dict[str, list[float]]:
    return two.once("losses", path=str(small_run), overrides=[*METHODS["adversarial"], *ACCUMULATED], steps=STEPS)[0]


@pytest.mark.parametrize("precision, tolerance", [("fp16", 6e-5), ("bf16", 6e-4)])
@pytest.mark.parametrize("number", STAGES)
def test_losses_and_norms_are_those_of_fp32(
    two: Group, small_run: Path, in_fp32: dict[str, list[float]], number: int, precision: str, tolerance: float
) -> None:
    """At ZeRO 0, too, gradients are summed up in fp32, scaled where DeepSpeed leaves that out, and AdamW's first update is its
    first."""
    overrides = [*METHODS["adversarial"], *ACCUMULATED, *stage(number), f"runtime.precision={precision}"]
    for answer in two.run("half_cases.run", of="losses", path=str(small_run), overrides=overrides, steps=STEPS):
        found = answer["value"]
        assert found["micros"] > 1
        assert found["loss"] == pytest.approx(in_fp32["loss"], abs=tolerance)
        assert found["norm"] == pytest.approx(in_fp32["norm"], rel=1e-2)


@pytest.mark.parametrize("number", STAGES)
def test_a_loss_scale_too_large_finds_its_size(two: Group, small_run: Path, number: int) -> None:
    overrides = [*stage(number), "runtime.precision=fp16"]
    here, there = two.run("half_cases.run", of="losses", first=2.0**24, path=str(small_run), overrides=overrides)
    assert here["scales"] == there["scales"] == [2.0**power for power in (23, 22, 21, 20, 19, 18, 18, 17, 17, 17)]
    skipped = [later < before for before, later in pairwise([2.0**24, *here["scales"]])]
    assert [math.isinf(norm) for norm in here["value"]["norm"]] == skipped


def test_a_run_in_fp16_goes_on_with_its_loss_scale_at_another_stage(two: Group, small_run: Path, tmp_path: Path) -> None:
    options = ["runtime.precision=fp16", f"folder={tmp_path / 'run'}", "train.steps=6", "runtime.log_every=1"]
    began, went_on = (
        two.run("half_cases.run", of="whole_run", path=str(small_run), overrides=[*options, *stage(number)], **more)[0]
        for number, more in ((0, {"first": 2.0**20, "stop_at": 2}), (3, {"first": 2.0**10}))
    )
    assert (began["value"]["finished"], went_on["value"]["finished"]) == (False, True)
    assert went_on["scales"][0] in (began["scales"][-1], began["scales"][-1] / 2)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    logged = [line["train/loss_scale"] for line in lines if "train/loss_scale" in line]
    assert logged == began["scales"] + went_on["scales"]


@pytest.mark.parametrize("scale, told", [(1e-5, 1), (0.01, 0)])
def test_a_perturbation_that_is_rounded_away_is_told_of_once(
    two: Group, small_run: Path, tmp_path: Path, scale: float, told: int
) -> None:
    robust = f"robust={{method: consistency, scale: {scale}}}"
    options = [robust, "runtime.precision=bf16", f"folder={tmp_path / 'run'}", "train.steps=3"]
    first, second = two.run("warned_run", path=str(small_run), overrides=options)
    said = [
        line for line in first["told"] if line.startswith("in bf16 the perturbations are smaller than what states are round")
    ]
    assert (len(said), second["told"]) == (told, [])
