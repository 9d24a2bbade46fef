"""What a study expects before its first run: what its runs must learn, how far scores spread, and what others published."""

from typing import Literal

from pydantic import Field, model_validator

from xdist.config.section import Section

SHARE = 100.0


class Learns(Section):
    """What every run of a stage must reach, or it has not learnt what it was trained on, and nothing is said of what came of
    it. What is given must all be reached."""

    over_majority: float | None = Field(
        None,
        ge=0,
        lt=SHARE,
        description="accuracy on the dev sets that `train.select` looks at: points above the share of the most frequent label",
    )
    at_least: float | None = Field(
        None,
        ge=-1000,
        le=1000,
        description="the task's official metric on the dev sets that `train.select` looks at, in its own unit",
    )
    below_unigram: float | None = Field(
        None,
        ge=0,
        le=100,
        description="masked loss, in nats: how far below the unigram entropy of the training corpus, which a new "
        "language head reaches by its bias alone",
    )

    @model_validator(mode="after")
    def _something(self) -> "Learns":
        if self.over_majority is None and self.at_least is None and self.below_unigram is None:
            raise ValueError("say what must be reached: over_majority, at_least or below_unigram")
        return self


class Spreads(Section):
    """The spread of scores, for `study power` where no pilot runs give it: standard deviations in points of the metric, except
    for the last two. The defaults are of an encoder of 117 million parameters on SIB-200's topics (docs/method.md)."""

    seeds: float = Field(2.0, ge=0, le=SHARE, description="between seeds of one condition, equal in all languages")
    languages: float = Field(
        2.5, ge=0, le=SHARE, description="between languages of a group, of the difference of two conditions"
    )
    seeds_by_language: float = Field(1.0, ge=0, le=SHARE, description="between seeds, in each language apart")
    disagree: float = Field(
        20.0,
        ge=0,
        le=SHARE,
        description="per cent of the examples that one of two conditions gets right, and the other does not",
    )
    shared: float = Field(
        0.25,
        ge=0,
        le=1,
        description="how much of that is due to the sentence in any language, where sets have the same sentences; 0: nothing",
    )


class TargetFigure(Section):
    """A figure that others have published, with which a report compares its own: a mean over languages of one condition, or,
    with `against`, a difference of two."""

    condition: dict[str, str] = Field(min_length=1, description="by axis, the values of the condition")
    against: dict[str, str] | None = Field(None, description="by axis, the values of the other condition of a difference")
    task: str = Field(description="a task that the study scores")
    languages: Literal["not trained on", "all"] | tuple[str, ...] = Field(
        "not trained on", description="those that the mean is over: codes, all, or those that the task was not trained on"
    )
    value: float = Field(ge=-1000, le=1000, description="what was published, in points")
    spread: float | None = Field(None, ge=0, le=1000, description="its standard deviation over seeds; null: not published")
    source: str = Field(description="where")
