"""The section `model.syntax`: dependency trees in each layer's attention (Ahmad et al. 2021, arXiv 2106.02134).

Graph attention reads the embeddings of a text's pieces, in which two see each other whose distance in the text's dependency
tree is at most `distance`. Of what comes out each layer of the encoder makes something that is added to the keys, and to the
values, of its first attention heads. Two probes learn to read the tree off the same states: what is trained is

task + weight · (distance loss + depth loss), each the mean over sentences.
"""

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from xdist.config.fitting import PathText
from xdist.config.section import Section

PLACES = ("language", "split")
ParseFiles = Annotated[dict[str, PathText], Field(min_length=1)]


class Syntax(Section):
    parses: ParseFiles = Field(
        description="by task, its CoNLL-U files: a path with {language} and {split}; of all that is read, at test time too"
    )
    kind: Literal["parses", "random"] = Field(
        "parses",
        description="random: the control: the words of each text, with their tags, in random order over its own tree",
    )
    strength: float = Field(
        1.0, ge=0, le=1e6, description="of what is added to keys and values; 0: a plain encoder, and no tree is read"
    )
    weight: float = Field(
        1.0, ge=0, le=1e6, description="of the two losses of trees; published: 1 in classification, 0.5 in tagging"
    )
    distance: int = Field(
        4,
        ge=1,
        le=1000,
        description="how far apart in a tree pieces see each other; published: 4 in classification, 1 in tagging",
    )
    layers: int = Field(4, ge=1, le=64, description="of graph attention")
    heads: int = Field(4, ge=1, le=64, description="of each such layer")
    width: int = Field(64, ge=1, le=4096, description="of each of these heads")
    dropout: float = Field(0.1, ge=0, lt=1, description="of graph attention: of what enters a layer and of who sees whom")
    joined: int = Field(1, ge=1, le=256, description="heads of each layer of the encoder to whose keys and values is added")
    rank: int = Field(64, ge=1, le=4096, description="of the two probes")

    @field_validator("parses")
    @classmethod
    def _known_places(cls, parses: dict[str, str]) -> dict[str, str]:
        for task, path in parses.items():
            try:
                names = [name for _, name, _, _ in string.Formatter().parse(path) if name is not None]
            except ValueError as error:
                raise ValueError(f"{task}: {path}: {error}") from None
            if odd := next((name for name in names if name not in PLACES), None):
                raise ValueError(f"{task}: {path}: {{{odd}}} is not known; a path may have {{language}} and {{split}}")
        return parses

    @property
    def read(self) -> bool:
        """Whether trees are read at all."""
        return self.strength > 0

    @property
    def states(self) -> int:
        """The width of what graph attention gives."""
        return self.heads * self.width

    def file(self, task: str, split: str, language: str) -> Path | None:
        """The file with the parses of a task in a language and split; None of a task that has none."""
        return file_of(self.parses, task, split, language)


def file_of(parses: Mapping[str, str], task: str, split: str, language: str) -> Path | None:
    path = parses.get(task)
    return None if path is None else Path(path.format(language=language, split=split))
