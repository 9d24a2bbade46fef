"""The section `align`: maps in closed form from other languages to English, fitted on the model that is scored.

They are fitted before the evaluation, kept in the run's folder and used in it: the states of a row in another language are
mapped at one hidden layer, and the layers above continue with them. English is left as it is.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xdist.config.fitting import PathText
from xdist.config.parallel import DICTIONARIES, LINKS
from xdist.config.section import Section


class FittedOn(Section):
    """Parallel text that maps are fitted on: the training split of a task in some of its languages."""

    task: str = Field(description="whose training split is parallel text")
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all"] = Field(
        "all", description="those that are read; all: every language whose files exist"
    )


class Align(Section):
    method: Literal["mean-shift", "procrustes"] = Field(
        "procrustes",
        description="mean-shift: the mean of a language is moved to that of English, for which it does not matter which "
        "sentences translate each other; procrustes: it is also rotated, so that translations meet",
    )
    tasks: tuple[FittedOn, ...] = Field((), description="what it is fitted on, each language separately")
    folder: PathText | None = Field(None, description="instead of tasks: what `xdist align` made for this model")
    layer: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="hidden layer whose states are mapped; null: the lowest that the tasks that are evaluated read",
    )
    strength: float = Field(1.0, ge=0, le=1, description="share of the way that states go; 0: they stay")
    dictionaries: PathText | None = Field(
        None,
        exclude_if=lambda place: place is None,
        description="fit a rotation on words instead of sentences, each the mean of all its places in the text: entries of "
        f"dictionaries, {DICTIONARIES}",
    )
    links: PathText | None = Field(
        None, exclude_if=lambda place: place is None, description=f"fit it on linked words, each in its sentence: {LINKS}"
    )

    @model_validator(mode="after")
    def _from_somewhere(self) -> "Align":
        if bool(self.tasks) == (self.folder is not None):
            raise ValueError("give either tasks to fit on or, in their place, a folder")
        if self.folder is not None and self.layer is not None:
            raise ValueError("the layer is that of the folder; leave it out")
        if self.dictionaries is not None or self.links is not None:
            if self.folder is not None or self.method != "procrustes":
                raise ValueError("dictionaries and links are of method procrustes that is fitted on tasks")
            if self.dictionaries is not None and self.links is not None:
                raise ValueError("give either dictionaries or links")
        return self
