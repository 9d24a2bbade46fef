"""A step whose numbers are not finite on one rank is made on none, at every ZeRO stage, and too many of them end the run."""

import json
import math
from pathlib import Path

import pytest
from distributed.group import Group

STEPS = 6


def options(folder: Path, stage: int, *more: str) -> list[str]:
    config = Path(__file__).with_name("ds_configs") / f"zero{stage}.json"
    options = [f"train.steps={STEPS}", "runtime.log_every=1", "runtime.save_every=2"]
    return [*options, f"folder={folder}", f"runtime.deepspeed={config}", *more]


def logged(folder: Path, key: str) -> list[float]:
    return [json.loads(line)[key] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_stage_skips_alike(two: Group, small_run: Path, tmp_path: Path, precision: str) -> None:
    found = {}
    for stage in (0, 1, 2, 3) if precision == "fp32" else (2, 3):
        run = tmp_path / f"run{stage}"
        wanted = options(run, stage, f"runtime.precision={precision}")
        ends = two.run("run_with_bad_numbers", path=str(small_run), overrides=wanted, rank=1, steps=[2])
        assert ends == [{"finished": True, "error": ""}] * 2
        assert logged(run, "train/skipped_steps") == [0, 0, 1, 1, 1, 1]
        found[stage] = logged(run, "train/loss")
        assert math.isnan(found[stage][2])
        assert all(math.isfinite(value) for place, value in enumerate(found[stage]) if place != 2)
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    for values in found.values():
        assert values == pytest.approx(found[2], abs=tolerance, nan_ok=True)


@pytest.mark.parametrize("stage", [0, 2])
def test_too_many_in_a_row_end_the_run(two: Group, small_run: Path, tmp_path: Path, stage: int) -> None:
    run = tmp_path / "run"
    wanted = options(run, stage, "runtime.bad_steps=2")
    ends = two.run("run_with_bad_numbers", path=str(small_run), overrides=wanted, rank=0, steps=[1, 3, 4])
    assert ends[0] == ends[1]
    said = ends[0]["error"]
    assert said.startswith("2 steps in a row without a finite gradient, the last one step 4 of cldr-topic train de rows ")
    assert f"the last good checkpoint is {run / 'checkpoints' / 'step-00000004'}; " in said
    assert said.endswith("--only-step 4")
    wanted = options(run, stage, "runtime.bad_steps=2")
    assert two.run("whole_run", path=str(small_run), overrides=wanted)[0]["finished"]
