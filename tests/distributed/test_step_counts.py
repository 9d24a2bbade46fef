"""A step launches few more kernels than a plain PyTorch loop, and waits for the device once; a device that is too small gets
smaller micro-batches, which change no loss."""

import sys
from pathlib import Path

import pytest
from distributed.group import ROOT, Group

sys.path.append(str(ROOT / "benchmarks"))

from step_counts import METHODS, described

LAYERS = 12
MOST = 1.3  # times the kernels of a plain loop


@pytest.fixture(scope="module")
def counted_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return described(tmp_path_factory.mktemp("counts"), LAYERS)


@pytest.mark.parametrize(
    "method, precision, file", [("plain", "bf16", "zero1"), ("adversarial", "bf16", "zero1"), ("adversarial", "fp32", "zero0")]
)
def test_few_kernels_and_one_wait(two: Group, counted_run: Path, method: str, precision: str, file: str) -> None:
    """Of what `auto` chooses; on two ranks, so that what they send to each other counts too."""
    options = [f"robust={METHODS[method]}", f"runtime.precision={precision}", "runtime.deepspeed=auto"]
    for found in two.run("counting_cases.counts", path=str(counted_run), overrides=options):
        assert found["deepspeed"] == file
        assert found["plain_kernels"] > 50 * LAYERS  # the counter sees both
        assert found["ratio"] <= MOST, found["more"]
        assert (found["reads"], found["reads_in_the_next_step"]) == (0, 1)  # the gradient's norm
        assert found["waits_of_micro_batches"] == 0


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_micro_batches_are_halved_until_they_fit_and_the_loss_stays(two: Group, small_run: Path, stage: int) -> None:
    file = Path(__file__).with_name("ds_configs") / f"zero{stage}.json"
    options = [f"runtime.deepspeed={file}", "robust={method: adversarial, radius: 0.1}"]
    roomy, tight = (
        two.run("counting_cases.halved", path=str(small_run), overrides=options, limit=limit) for limit in (10**6, 20)
    )
    assert [found["tokens"] for found in roomy] == [8192, 8192]
    assert [found["tokens"] for found in tight] == [16, 16], "of all ranks, though one alone is small"
    assert [found["gradients"] for found in tight] == [0, 0]
    for found in tight:
        assert found["losses"] == pytest.approx(roomy[0]["losses"], abs=1e-4)
