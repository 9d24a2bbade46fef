"""Precision and determinism reach PyTorch, and TF32 is said to be fp32 where there is none."""

import logging
from collections.abc import Iterator

import pytest
import torch

from xdist.config.runtime import AskedPrecision, Precision
from xdist.engine import arithmetic


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True


@pytest.mark.parametrize(
    "asked, precision, products, line",
    [
        ("tf32", "tf32", "high", []),
        ("tf32", "fp32", "highest", ["runtime.precision=tf32: this device has no TF32 and computes in fp32"]),
        ("auto", "bf16", "highest", []),
        ("fp32", "fp32", "highest", []),
    ],
)
def test_products_of_fp32(
    caplog: pytest.LogCaptureFixture, asked: AskedPrecision, precision: Precision, products: str, line: list[str]
) -> None:
    torch.set_float32_matmul_precision("high")  # of a run before in this process
    with caplog.at_level(logging.INFO, "xdist"):
        arithmetic.choose_arithmetic(asked, precision, deterministic=False)
    assert torch.get_float32_matmul_precision() == products
    assert caplog.messages == line


def test_deterministic_kernels_are_for_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    for wanted in (True, False):
        arithmetic.choose_arithmetic("fp32", "fp32", deterministic=wanted)
        assert torch.are_deterministic_algorithms_enabled() is wanted
        assert not torch.utils.deterministic.fill_uninitialized_memory  # DeepSpeed's buckets, in every step
    assert arithmetic.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
