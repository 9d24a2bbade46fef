"""Section `evaluate` of a run: tasks, languages, and how predictions are made."""

from typing import Annotated, Literal

from pydantic import Field

from xdist.config.branches import AtTest
from xdist.config.robust import Noise
from xdist.config.section import Section

# How the answer of a span is cut out of its context.
Answers = Literal["offsets", "official"]
# By which number examples of graded relevance are ranked.
Relevance = Literal["class", "expected"]


class Evaluate(Section):
    """What is scored, in which languages."""

    tasks: tuple[str, ...] = Field(min_length=1, description="what is scored")
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all"] = Field(
        "all",
        description="those that are scored, in any code; all: every language whose files exist; or groups of what the encoder "
        "has read: group:unseen, group:low, group:mid, group:high, group:seen, group:tail (unseen and low), group:head (the "
        "others that were read)",
    )
    split: Literal["dev", "test"] = Field("test", description="which files are scored")
    layer: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="hidden layer of sentence vectors (Tatoeba, BUCC), 0: the embedding; null: each task's own",
    )
    answers: Answers = Field(
        "offsets",
        description="how answers of span QA are cut out of their context: offsets: at the characters of their pieces; "
        "official: at words, as the public recipes do (get_final_text), other texts of the same spans",
    )
    relevance: Relevance = Field(
        "class",
        description="by which number examples are ranked where labels are grades (metric ndcg): class: the label that the "
        "model likes best, as in published figures, with many ties; expected: the mean of the labels by their probabilities",
    )
    branches: AtTest = Field(
        "own",
        exclude_if=lambda how: how == "own",
        description="of a model with branches, what reads a language that has one: own: its branch; mixture: the mean of all, "
        "as languages without a branch are read anyway",
    )
    smoothing: Noise | None = Field(None, description="average the predictions over draws of noise; null: one clean forward")
