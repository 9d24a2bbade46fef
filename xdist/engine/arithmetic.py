"""How this process computes: products of fp32 in TF32 or not, and by kernels that give equal bits or by the fastest ones."""

import logging
import os

import torch

from xdist.config.runtime import AskedPrecision, Precision
from xdist.run import distributed

log = logging.getLogger(__name__)


def choose_arithmetic(asked: AskedPrecision, precision: Precision, deterministic: bool) -> None:
    """For all that the process computes from here on, and before its first product on a GPU, which decides on a workspace.
    `precision` is what `asked` became on this device."""
    if asked == "tf32" and precision == "fp32" and distributed.rank() == 0:
        log.info("runtime.precision=tf32: this device has no TF32 and computes in fp32")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS sums in an order of the moment
        # Else every new tensor is filled with NaN first, also DeepSpeed's buckets of gigabytes in each step; nothing reads it.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(deterministic)
