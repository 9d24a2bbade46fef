"""Section `data` of a run: the official files, and the token rows that are prepared of them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from xdist.config.section import LARGE, Section

# How words that are given one by one (tagging) become the text that a tokenizer reads.
Joining = Literal["separate", "joined", "text", "official"]


class Data(Section):
    """Where the official files are, and where prepared token rows are kept."""

    root: Path = Field(description="folder of the official files; `xdist tasks` says which")
    cache: Path = Field(Path("runs/prepared"), description="folder of prepared token rows, shared by runs")
    max_length: int | None = Field(None, ge=8, le=1_000_000, description="tokens per sequence; null: each task's own")
    words: Joining = Field(
        "joined",
        description="how the words of a tagging task are encoded. joined: by single blanks, as running text; separate: each "
        "alone, as published figures often have it (otherwise for byte-level, Gemma and Llama tokenizers alone); text: with "
        "blanks where a treebank has them (SpaceAfter of .conllu files); official: as the public scripts of XTREME: separate, "
        "and the row ends as a first text does before a second one (</s></s> for XLM-R, so one piece less fits)",
    )
    tasks: Path | None = Field(None, description="a YAML of your own tasks, in addition to those of the catalog")
    block: Annotated[int, Field(ge=1, le=LARGE)] | Literal["auto"] = Field(
        1,
        exclude_if=lambda block: block == 1,  # what a run is does not change with a key that it does not use
        description="neighbouring rows that are drawn together, mixed with those of many other blocks; 1: each row is "
        "drawn for itself, from anywhere; auto: many of running text, so that of a large corpus less is read from the disk",
    )
