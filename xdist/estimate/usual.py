"""What fine-tuning usually takes, and where a training is far from that: reported before it starts, never refused.

docs/how-to/rates.md has the table and says where its numbers come from.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from xdist.config import Train


@dataclass(frozen=True, slots=True)
class UsualRate:
    """Of encoders with at most `parameters` in the matrices of their layers, the embedding left aside: the learning rates that
    published recipes, or our own runs, have. `frozen`: the embedding is not trained."""

    name: str
    parameters: float
    frozen: bool
    low: float
    high: float

    @property
    def said(self) -> str:
        """As in YAML: 1e-4 to 5e-4."""
        return f"{rate_text(self.low)} to {rate_text(self.high)}"

    @property
    def some(self) -> tuple[float, ...]:
        """The least, one in the middle of the logarithmic scale, and the highest."""
        return self.low, float(f"{(self.low * self.high) ** 0.5:.0e}"), self.high


USUAL = (
    UsualRate("small", 50e6, True, 1e-4, 5e-4),
    UsualRate("small", 50e6, False, 2e-5, 3e-4),
    UsualRate("base", 150e6, True, 1e-5, 1e-4),
    UsualRate("base", 150e6, False, 5e-6, 8e-5),
    UsualRate("large", 600e6, True, 5e-6, 3e-5),
    UsualRate("large", 600e6, False, 5e-6, 3e-5),
    UsualRate("XL", float("inf"), True, 1e-6, 1e-5),
    UsualRate("XL", float("inf"), False, 1e-6, 1e-5),
)
FAR = 3  # times below or above what is usual
FEWEST = 100  # updates


def usual_rate(matrices: float, frozen: bool) -> UsualRate:
    """Of an encoder with this many parameters in the matrices of its layers."""
    return next(one for one in USUAL if one.frozen == frozen and matrices <= one.parameters)


def unusual_lines(
    train: Train, updates: int | None, matrices: float | None, frozen: bool, language_model: bool, head: bool = True
) -> list[str]:
    """A line on each setting of `train` that is far off. `updates` and `matrices` are None where they are not known; of a
    `language_model`, which is pre-trained on, no rate is given: published ones span two orders of magnitude."""
    return [
        *(() if matrices is None or language_model else _rate(train, usual_rate(matrices, frozen), matrices)),
        *(() if updates is None else _length(train, updates, head)),
    ]


def _rate(train: Train, usual: UsualRate, matrices: float) -> Iterator[str]:
    rate = train.learning_rate
    if usual.low / FAR <= rate <= usual.high * FAR:
        return
    times = f"{usual.low / rate:.0f} times below" if rate < usual.low else f"{rate / usual.high:.0f} times above"
    frozen = ", its embedding frozen" if usual.frozen else ""
    yield (
        f"train.learning_rate={rate_text(rate)} is {times} what a {usual.name} encoder ({matrices / 1e6:,.0f} M parameters "
        f"in its layers{frozen}) usually takes, {usual.said}; try some on English dev: xdist tune RUN.yaml"
    )


def rate_text(rate: float) -> str:
    """As one writes it: 1e-4, not 0.0001."""
    mantissa, exponent = f"{rate:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _length(train: Train, updates: int, head: bool) -> Iterator[str]:
    if updates < FEWEST and head:
        yield f"{updates:,} update{'s' * (updates > 1)} teach a new head little: {FEWEST} or more are usual"
    if train.warmup >= 1 and train.warmup >= updates:
        yield f"train.warmup={train.warmup:,.0f} is no shorter than training, {updates:,} updates: the rate is never reached"
    if train.select and train.select.every >= updates > 1:
        yield f"train.select.every={train.select.every:,} looks at the last of {updates:,} updates alone: nothing is chosen"
