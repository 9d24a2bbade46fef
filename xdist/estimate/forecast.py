"""How long training takes: products at a share of the peak, then traffic that nothing hides."""

from dataclasses import dataclass

from xdist.config.method import StepCost
from xdist.estimate.flops import flops, traffic
from xdist.estimate.memory import Setting
from xdist.estimate.shapes import Shape


@dataclass(frozen=True, slots=True)
class Forecast:
    """One optimizer step over all ranks."""

    flops_per_token: float  # as MFU counts them: what checkpointing computes again is left out
    tokens_per_step: float
    compute: float  # seconds of a step
    traffic: float  # seconds of a step

    @property
    def seconds(self) -> float:
        return self.compute + self.traffic

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
    compute = step_tokens * forward * one.forwards(setting.checkpointing) / (setting.ranks * peak * reached)
    sent = traffic(shape, setting, one) / interconnect if interconnect else 0.0
    return Forecast(forward * one.forwards(False), step_tokens, compute, sent)
