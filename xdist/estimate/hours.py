"""Work, traffic and hours of training, by formula: a profiler does not see inner forward passes, and costs time. Products run
at a share of the peak, or as fast as the program can start them, the slower of the two: a small model waits for the program.
Then comes traffic that nothing hides.

A forward pass over one token takes 2 FLOPs for each parameter that multiplies it, 4 L d S for attention over S tokens, and
2 d V for a head over V pieces; the embedding is looked up. A backward pass takes twice that, towards the input alone once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from xdist.config.method import Method, StepCost
from xdist.estimate.memory import Setting, trained_in
from xdist.estimate.shapes import Shape

# Of a forward pass: kernels of a layer, and of what comes before and after all layers; seconds in which the program starts one,
# Python and autograd included. Judged, not measured.
OF_LAYER, OF_ENDS, LAUNCH = 20, 30, 20e-6


def work(methods: Sequence[Method]) -> StepCost:
    """What the methods of `robust` make of one plain pass, in the mean over steps."""
    rewritten = any(method.rewrites for method in methods)
    cost = StepCost(clean=0.0, moved=1.0) if rewritten else StepCost()
    for method in methods:
        if not method.idle:
            cost = method.cost(cost, alone=len(methods) == 1)
    return cost


def flops(shape: Shape, attended: float, head: float = 0.0) -> float:
    """Of a forward pass over one token that attends to `attended` tokens; `head` is the share of tokens whose states are
    multiplied by the full embedding."""
    return 2 * shape.matrices + 4 * shape.layers * shape.width * attended + 2 * shape.embedding * head


def traffic(shape: Shape, setting: Setting, one: StepCost) -> float:
    """Bytes that a rank sends in one optimizer step."""
    if setting.ranks == 1:
        return 0.0
    count, size, micro = trained_in(shape, setting), setting.size, setting.micro_batches
    crossing = (setting.ranks - 1) / setting.ranks
    if setting.stage == 3:
        # Weights come together for every forward and every backward pass; gradients leave in parts.
        gathers = 2 * one.trained + one.looked + one.climbed + (one.trained + one.climbed) * setting.checkpointing
        return crossing * micro * size * (gathers * shape.parameters + one.trained * count)
    reduced = {0: size, 1: 4, 2: size * micro * one.trained}[setting.stage]
    return crossing * count * (2 * reduced + (size if setting.stage else 0))


@dataclass(frozen=True, slots=True)
class Forecast:
    """One optimizer step over all ranks."""

    flops_per_token: float  # as MFU counts them: what checkpointing computes again is left out
    tokens_per_step: float
    compute: float  # seconds of a step
    launches: float  # seconds in which the program starts a step's kernels
    traffic: float  # seconds of a step

    @property
    def seconds(self) -> float:
        return max(self.compute, self.launches) + self.traffic

    @property
    def tokens_per_second(self) -> float:
        return self.tokens_per_step / self.seconds


def forecast(
    shape: Shape,
    setting: Setting,
    one: StepCost,
    *,
    step_tokens: float,
    attended: float,
    head: float,
    peak: float,
    reached: float,
    interconnect: float | None,
) -> Forecast:
    """`peak` FLOP/s of one device, of which the share `reached` is reached; `interconnect` bytes/s that a rank sends, None:
    traffic is not counted. `step_tokens` over all ranks."""
    forward = flops(shape, attended, head)
    spared = 2 * one.trained * setting.frozen_layers / shape.layers  # no backward pass reaches them
    if setting.adapted is not None:  # no gradients of the encoder's matrices, a third of what training makes
        forward += 2 * setting.adapted
        spared += one.trained * (1 - min(1.0, setting.adapted / shape.matrices))
    compute = step_tokens * forward * (one.forwards(setting.checkpointing) - spared) / (setting.ranks * peak * reached)
    sent = traffic(shape, setting, one) / interconnect if interconnect else 0.0
    return Forecast(forward * (one.forwards(False) - spared), step_tokens, compute, launches(shape, setting, one), sent)


def launches(shape: Shape, setting: Setting, one: StepCost) -> float:
    """Seconds in which the program starts the kernels of a step; a backward pass starts twice those of a forward pass."""
    kernels = OF_LAYER * shape.layers + OF_ENDS
    return setting.micro_batches * one.forwards(setting.checkpointing) * kernels * LAUNCH


def spoken_time(hours: float) -> str:
    """In the unit that a reader would take: "40 seconds", "12.5 minutes", "3.2 hours"."""
    seconds = 3600 * hours
    if seconds < 1:
        return "less than a second"
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:,.{0 if seconds >= 100 * length else 1}f} {unit}"
    return f"{seconds:.0f} seconds"


def measure_peak(width: int, inner: int, bf16: bool, seconds: float = 1.0) -> float:
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
