"""Seconds of the parts of a step. On a GPU they are read from its events, and only when asked for: nothing waits before."""

import time

import torch

Moment = float | torch.cuda.Event


def now(device: torch.device) -> Moment:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds(begin: Moment, end: Moment) -> float:
    """Between two moments; waits for the GPU."""
    if isinstance(begin, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        end.synchronize()
        return begin.elapsed_time(end) / 1000
    assert isinstance(begin, float)
    assert isinstance(end, float)
    return end - begin
