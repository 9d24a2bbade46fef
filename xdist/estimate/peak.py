"""How fast this machine multiplies matrices."""

import time


def measured(width: int, inner: int, bf16: bool, seconds: float = 1.0) -> float:
    """TFLOP/s of one device (of one process on a CPU) on the largest product of a layer, the best of a few rounds."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = 16384 if device.type == "cuda" else 64 if bf16 else 1024  # a CPU without units for bf16 takes seconds
    dtype = torch.bfloat16 if bf16 else torch.float32
    left, right = torch.randn(rows, width, dtype=dtype, device=device), torch.randn(width, inner, dtype=dtype, device=device)
    best, until = float("inf"), time.perf_counter() + seconds
    left @ right
    _wait(device.type)
    while best == float("inf") or time.perf_counter() < until:
        begun = time.perf_counter()
        left @ right
        _wait(device.type)
        best = min(best, time.perf_counter() - begun)
    return 2 * rows * width * inner / best / 1e12


def _wait(kind: str) -> None:
    if kind == "cuda":
        import torch

        torch.cuda.synchronize()
