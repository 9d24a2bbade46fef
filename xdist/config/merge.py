"""The section `merge`: a model made of the weights of others, without a training.

result = start + sum of weight · (model − minus), on all weights or on those of some layers, where start is `model.backbone`.
With `minus` left out each model is taken relative to the start: a mean, or a weighted sum. With the pre-trained encoder as
`minus` it is task arithmetic. With `layers` and weight 1 layers are swapped.
"""

from collections.abc import Callable

from pydantic import Field, model_validator

from xdist.config.fitting import PathText
from xdist.config.section import Section


class Ingredient(Section):
    """A model that goes into a merge, and how much of it."""

    model: PathText | None = Field(None, description="a model folder, or a hub id")
    stage: str | None = Field(None, description="in a study, instead: an earlier stage, whose model it is")
    weight: float | None = Field(
        None,
        ge=-100,
        le=100,
        description="0: nothing of it, below 0: taken away; null: 1, or in a plain mean its share, 1 / number of models, the "
        "start among them",
    )

    @model_validator(mode="after")
    def _one_place(self) -> "Ingredient":
        if (self.model is None) == (self.stage is None):
            raise ValueError("give either a model or, in a study, a stage")
        return self


class Swapped(Section):
    """The layers that a merge changes; what is not named stays the start's."""

    bottom: int = Field(0, ge=0, le=1000, description="number of lowest layers")
    top: int = Field(0, ge=0, le=1000, description="number of highest layers")
    embeddings: bool = Field(False, description="and the embeddings")


class Merge(Section):
    models: tuple[Ingredient, ...] = Field(min_length=1)
    minus: PathText | None = Field(
        None, description="what is taken off each model: the encoder that its training began with; null: the start"
    )
    layers: Swapped | None = Field(None, description="only these layers; null: all weights")

    @property
    def weights(self) -> tuple[float, ...]:
        """Of each model, where it is not given the share of a plain mean, or 1."""
        share = 1 / (len(self.models) + 1) if self.minus is None and self.layers is None else 1.0
        return tuple(share if one.weight is None else one.weight for one in self.models)

    @property
    def used(self) -> tuple[str, ...]:
        """The places of the models that leave a trace: those whose weight is not 0, and what is taken off them."""
        models = [one.model for one, weight in zip(self.models, self.weights, strict=True) if weight and one.model]
        return (*models, self.minus) if models and self.minus else tuple(models)


def with_places(merge: Merge, place: Callable[[str], str]) -> Merge:
    """`merge` with another place for each of its models, and for what is taken off them."""
    models = tuple(one.model_copy(update={"model": place(one.model)}) if one.model else one for one in merge.models)
    return merge.model_copy(update={"models": models, "minus": place(merge.minus) if merge.minus else None})
