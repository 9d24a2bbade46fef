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
    """At ZeRO 0, and 1 in bf16, the device decides, and the next step finds out: rates are those of the others all the same."""
    found, rates = {}, {}
    for stage in (0, 1, 2, 3):
        run = tmp_path / f"run{stage}"
        wanted = options(run, stage, f"runtime.precision={precision}")
        ends = two.run("run_with_bad_numbers", path=str(small_run), overrides=wanted, rank=1, steps=[2])
        assert ends == [{"finished": True, "error": ""}] * 2
        assert logged(run, "train/skipped_steps") == [0, 0, 1, 1, 1, 1]
        found[stage], rates[stage] = logged(run, "train/loss"), logged(run, "train/lr")
        assert math.isnan(found[stage][2])
        assert all(math.isfinite(value) for place, value in enumerate(found[stage]) if place != 2)
    assert rates[2][2] == rates[2][3] != rates[2][4], "a step that was not made takes no rate"
    assert all(one == rates[2] for one in rates.values())
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


@pytest.mark.parametrize("stage", [1, 3])
def test_a_step_is_made_again_as_it_was(two: Group, small_run: Path, tmp_path: Path, stage: int) -> None:
    run = tmp_path / "run"
    assert two.run("whole_run", path=str(small_run), overrides=options(run, stage, "runtime.keep=5"))[0]["finished"]
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    lines, others = two.run("replayed", path=str(small_run), overrides=options(run, stage), step=3)
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert others == []
    assert lines[0].startswith("step 3 from checkpoint step-00000002: loss ")
    loss = float(lines[0].split("loss ")[1].split(",")[0])
    assert loss == pytest.approx(logged(run, "train/loss")[3], rel=1e-5)
    assert len(lines) == 1 + 12  # the rows of a step
    rows = [float(line.split("loss ")[1].split(",")[0]) for line in lines[1:]]
    assert sum(rows) / 12 == pytest.approx(loss, rel=1e-4)  # the run has no dropout and no perturbation
    assert all(line.startswith(("cldr-topic train en row ", "cldr-topic train de row ")) for line in lines[1:])
