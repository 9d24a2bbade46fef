"""The section `model.adapter`: small modules that are trained instead of the encoder, which stays as it is.

LoRA (arXiv 2106.09685) adds to a matrix the product of two narrow ones. A bottleneck adapter (MAD-X, arXiv 2005.00052) stands
after each layer. Either is trained on any task, language models included; `languages` puts language adapters below it.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xdist.config.fitting import PathText
from xdist.config.section import Section

Target = Literal["attention", "mlp"]
TARGETS: tuple[Target, ...] = ("attention", "mlp")


class LanguageAdapter(Section):
    """The adapter of one language: the `model/` of a run that trained a bottleneck adapter, usually as a language model."""

    model: PathText | None = Field(None, description="the `model/` of the run that trained it")
    stage: str | None = Field(None, description="in a study, instead: the earlier stage that trained it")

    @model_validator(mode="after")
    def _one_place(self) -> "LanguageAdapter":
        if (self.model is None) == (self.stage is None):
            raise ValueError("give either a model or, in a study, a stage")
        return self


class Adapter(Section):
    kind: Literal["lora", "bottleneck"] = Field(
        "lora",
        description="lora: parallel to matrices of attention and feed-forward parts, into which "
        "an export merges it; bottleneck: "
        "after each layer, as in MAD-X",
    )
    rank: int = Field(
        8, ge=0, le=1 << 16, description="inner width; 0: there is none, and the head alone is trained on the frozen encoder"
    )
    alpha: float | None = Field(
        None, ge=0, le=1e6, description="lora: what it adds counts alpha / rank times; null: twice the rank"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="of what enters the adapter")
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] | None = Field(
        None, description="lora: the parts whose matrices it is added to; null: attention and mlp"
    )
    invertible: bool = Field(
        False,
        description="bottleneck: also an invertible adapter after the input embedding, whose "
        "inverse is applied before the product "
        "with it in a language model",
    )
    folder: PathText | None = Field(
        None,
        description="begin with this adapter, which then says kind, rank, alpha and targets: the `model/` of a run, or what "
        "PEFT saved (LoRA); where nothing is trained it is used as it is",
    )
    languages: dict[str, LanguageAdapter] = Field(
        {}, description="by language, the adapter below this one while a text of that language is read; frozen"
    )
    fallback: str | None = Field(
        None, description="the language whose adapter is used for languages that have none; null: those use none"
    )

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Adapter":
        others = {"lora": ("invertible",), "bottleneck": ("alpha", "targets")}[self.kind]
        for name in others:
            if getattr(self, name) not in (None, False):
                raise ValueError(f"{name}: an adapter of kind '{self.kind}' has none; leave it out")
        return self

    @property
    def scale(self) -> float:
        """What LoRA's product counts."""
        alpha = 2.0 * self.rank if self.alpha is None else self.alpha
        return alpha / self.rank if self.rank else 0.0

    @property
    def stands_at(self) -> tuple[Target, ...]:
        """The parts whose matrices LoRA is added to, in their order."""
        return tuple(target for target in TARGETS if self.targets is None or target in self.targets)
