"""The section `train.parallel`: how parallel text is trained on, where a task of it is among those trained.

By `loss`, of a row's two sentences as means of their tokens' hidden states, s the other language and t English:

- infonce: with both of unit length, the cross-entropy of finding t among the English sides of the rows that are told apart
  (`train.negatives`) by cosine / temperature, and of finding s in the same way, their mean.
- l2: the squared distance of s and t.

To either is added `anchor` times the squared distance of t from where the model that training begins with has it, a copy that
stays as it is: without it everything may fall together in one point.
"""

from typing import Literal

from pydantic import Field

from xdist.config.section import Section

ANCHORS = {"infonce": 0.1, "l2": 1.0}


class Parallel(Section):
    loss: Literal["infonce", "l2"] = Field(
        "infonce", description="infonce: a sentence is nearer to its translation than to others; l2: their distance"
    )
    temperature: float = Field(0.05, gt=0, le=100, description="of infonce; smaller: the nearest wrong ones count more")
    anchor: float | None = Field(None, ge=0, le=1e6, description="null: 0.1 of infonce, 1 of l2; 0: no copy is kept")
    layer: int | None = Field(None, ge=1, le=1000, description="hidden layer whose states are read; null: the last")

    @property
    def anchored(self) -> float:
        return ANCHORS[self.loss] if self.anchor is None else self.anchor
