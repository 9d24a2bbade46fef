"""The section `train.parallel`: how parallel text is trained on, where a task of it is among those trained.

By `loss`, of a row's two sentences as means of their tokens' hidden states, s the other language and t English:

- infonce: with both of unit length, the cross-entropy of finding t among the English sides of the rows that are distinguished
  (`train.negatives`) by cosine / temperature, and of finding s in the same way, their mean.
- l2: the squared distance of s and t.
- words: of words that translate each other, each the sum of its pieces' states, the cross-entropy of finding either by cosine /
  temperature among all other linked words of the rows that are distinguished, in both languages.

To the first two is added `anchor` times the squared distance of t from where the model that training begins with has it, a copy
that stays as it is: without it everything may fall together in one point. Realignment of words has none in its published form;
its lower layers are frozen instead (`model.frozen_layers`).
"""

from typing import Literal

from pydantic import Field, model_validator

from xdist.config.fitting import PathText
from xdist.config.section import Section

ANCHORS = {"infonce": 0.1, "l2": 1.0, "words": 0.0}
TEMPERATURES = {"infonce": 0.05, "l2": 1.0, "words": 0.1}
DICTIONARIES = "folder of en-xx.txt files, an English word and its translation on each line, as MUSE has them"
LINKS = "folder of xx-en.links files, for each line of parallel text the numbers of words that translate each other (0-0 1-2)"


class Parallel(Section):
    loss: Literal["infonce", "l2", "words"] = Field(
        "infonce",
        description="infonce: a sentence is nearer to its translation than to others; l2: their distance; words: a word is "
        "nearer to its translation than to other words",
    )
    temperature: float | None = Field(
        None,
        gt=0,
        le=100,
        description="of infonce and words; smaller: the nearest wrong ones count more; null: 0.05 of infonce, 0.1 of words",
    )
    anchor: float | None = Field(None, ge=0, le=1e6, description="null: 0.1 of infonce, 1 of l2; 0: no copy is kept")
    layer: int | None = Field(None, ge=1, le=1000, description="hidden layer whose states are read; null: the last")
    strength: float = Field(
        1.0,
        ge=0,
        le=1e6,
        exclude_if=lambda strength: strength == 1.0,
        description="what the loss is multiplied by; 0: parallel text changes nothing",
    )
    dictionaries: PathText | None = Field(
        None, exclude_if=lambda place: place is None, description=f"of words, whose links are looked up: {DICTIONARIES}"
    )
    links: PathText | None = Field(
        None, exclude_if=lambda place: place is None, description=f"of words, instead of dictionaries: {LINKS}"
    )

    @model_validator(mode="after")
    def _words_are_linked(self) -> "Parallel":
        given = (self.dictionaries is not None) + (self.links is not None)
        if self.loss != "words" and given:
            raise ValueError("dictionaries and links are of loss: words")
        if self.loss == "words" and given != 1:
            raise ValueError("of words it has to be known which translate each other: give dictionaries or links")
        if self.loss == "words" and self.anchor:
            raise ValueError("words have no anchor; freeze lower layers instead (model.frozen_layers)")
        return self

    @property
    def anchored(self) -> float:
        return self.strength * (ANCHORS[self.loss] if self.anchor is None else self.anchor)

    @property
    def tempered(self) -> float:
        return TEMPERATURES[self.loss] if self.temperature is None else self.temperature
