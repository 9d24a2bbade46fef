"""Section `model` of a run: the encoder, and what of it is trained."""

from typing import Literal

from pydantic import Field, model_validator

from xdist.config.adapter import Adapter
from xdist.config.branches import Branches
from xdist.config.fitting import PathText
from xdist.config.section import Section
from xdist.config.syntax import Syntax


class Model(Section):
    """The encoder: a hub id, a folder, or the `model/` folder of another run. Heads that fit are carried over: those of another
    run, and that of a model fine-tuned elsewhere."""

    backbone: PathText = Field(description="the encoder: a hub id, a folder, or the `model/` of another run")
    freeze_embeddings: bool = Field(False, description="leave the input embedding as it is")
    frozen_layers: int = Field(
        0,
        ge=0,
        le=1000,
        exclude_if=lambda layers: not layers,  # what a run is does not change with a key that it does not use
        description="freeze this many of the lowest layers, and all embeddings with them; 0: none; all: heads alone "
        "are trained",
    )
    vocabulary: Literal["active", "full"] = Field(
        "active",
        description="rows of the input embedding that are trained: those of the pieces in the training data, or all; the "
        "same result, but that weight decay also shrinks the rows that nothing uses where all are trained",
    )
    gradient_checkpointing: bool | Literal["auto"] = Field(
        "auto",
        description="compute layers again in the backward pass instead of keeping what is inside them; auto: where training "
        "would not fit the GPU's memory otherwise",
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="every dropout of the encoder and heads; null: the encoder's own"
    )
    attention_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        exclude_if=lambda share: share is None,
        description="that inside attention alone; null: as `dropout` says, else the encoder's own. On a GPU any above 0 needs "
        "`flash_attn` (the extra `gpu`), or attention takes a slower way",
    )
    adapter: Adapter | None = Field(
        None,
        exclude_if=lambda adapter: adapter is None,
        description="train an adapter and heads instead of the encoder, which stays as it is, its embedding too",
    )
    branches: Branches | None = Field(
        None,
        exclude_if=lambda branches: branches is None,
        description="the top layers once for each language that is trained on, on shared lower layers",
    )
    syntax: Syntax | None = Field(
        None,
        exclude_if=lambda syntax: syntax is None,
        description="dependency trees in each layer's attention, with losses that teach to read them off",
    )
    labels: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        exclude_if=lambda labels: labels is None,  # what a run is does not change with a key that it does not use
        description="of a backbone whose head was fine-tuned elsewhere: the label of each of its outputs, in "
        "their order; null: as the id2label of its config.json says",
    )
    pretraining: PathText | None = Field(
        None,
        exclude_if=lambda name: name is None,
        description="what the encoder has read of each language, by which reports group languages: cc100, wikipedia, mmbert, "
        "glot500, a file of `code size` lines, or none (not known); null: from the backbone's configuration",
    )

    @model_validator(mode="after")
    def _frozen_once(self) -> "Model":
        if self.adapter is not None and self.frozen_layers:
            raise ValueError("with an adapter the complete encoder is frozen; remove frozen_layers")
        if self.adapter is not None and self.branches is not None:
            raise ValueError("with an adapter the complete encoder is frozen, so its branches would all be equal; remove one")
        if self.adapter is not None and self.syntax is not None:
            raise ValueError("with an adapter no tree is read; give syntax or adapter")
        if self.branches is not None and self.syntax is not None:
            raise ValueError("trees are read by layers that all languages share; give syntax or branches")
        return self

    @property
    def embeddings_frozen(self) -> bool:
        """Whether no row of the input embedding is trained."""
        return self.freeze_embeddings or self.frozen_layers > 0 or self.adapter is not None
