"""`robust`: how training is perturbed. One method, or a list of methods that work together in their order.

Every method has options of its own and refuses those of others; only `none` takes them and does nothing, so that
`robust.method=none` turns any run into its plain baseline. What a method does stands in its file in xdist/robust/.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from xdist.config.section import Section

Place = Literal["input", "embedding", "last"]
Norm = Literal["l2", "linf"]


class Off(Section):
    """Plain training."""

    method: Literal["none"] = "none"

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {key: value for key, value in values.items() if key == "method" or key not in known_options()}


class InBall(Section):
    """Whatever moves tokens inside a ball."""

    radius: float = Field(0.05, ge=0, description="of the ball, relative to the norm of what stands inside it")
    norm: Norm = "l2"
    ball: Literal["example", "token"] = "example"
    perturb_special: bool = Field(False, description="move the special tokens too")
    same_dropout: bool = Field(False, description="all forwards of a micro-batch draw the same dropout masks")


class Ascent(InBall):
    """What climbs the loss."""

    steps: int = Field(1, ge=0, description="ascent steps")
    step_size: float = Field(1.5, gt=0, description="length of one ascent step, times radius / steps")
    every: int = Field(1, ge=1, description="perturb one step in so many; the others are plain")


class Adversarial(Ascent):
    method: Literal["adversarial"] = "adversarial"
    random_start: bool = False
    loss: Literal["task", "kl"] = Field("task", description="what the ascent climbs; kl: divergence from the clean prediction")
    clean: float = Field(0.0, ge=0, lt=1, description="share of the loss of the unperturbed input in the update")

    @model_validator(mode="after")
    def _somewhere_to_go(self) -> "Adversarial":
        if self.loss == "kl" and not self.random_start:
            raise ValueError("loss: kl needs random_start: true; at the clean input its gradient is 0")
        return self


class Free(Ascent):
    method: Literal["free"] = "free"
    steps: int = Field(3, ge=0, description="ascent steps, each of which trains")
    random_start: bool = True


class Noise(InBall):
    """Noise drawn from a ball, in training or at evaluation."""

    distribution: Literal["uniform", "gaussian"] = "uniform"
    draws: int = Field(1, ge=1, description="noises per example; their losses are averaged")
    place: Place = Field("input", description="input embedding, output of the embedding layer, or last hidden state")


class Random(Noise):
    method: Literal["random"] = "random"


class Substitution(Section):
    method: Literal["substitution"] = "substitution"
    synonyms: Path | dict[str, Path] = Field(description="JSON file {word: [synonyms]}, or such a file per language")
    copies: int | None = Field(None, ge=1, description="so many fixed variants of each example; null: drawn anew each time")
    lookup: Literal["exact", "folded"] = Field("exact", description="folded: whatever the case, punctuation aside")
    second: bool = Field(True, description="false: the second text of a pair stays as it is")


class CodeSwitch(Section):
    method: Literal["code_switch"] = "code_switch"
    dictionaries: Path = Field(description="folder of en-xx.txt files, a word and its translation on each line")
    languages: tuple[str, ...] = Field(min_length=1)
    p: float = Field(0.3, ge=0, le=1, description="probability that a word is looked up")


class Subword(Section):
    method: Literal["subword"] = "subword"
    p: float = Field(0.3, ge=0, le=1, description="probability that a word is segmented anew")
    alpha: float = Field(0.3, ge=0, description="of SentencePiece: 0 draws all segmentations alike")
    nbest: int = Field(-1, ge=-1, description="segmentations to draw from; -1: all")


class Consistency(Section):
    """On top of the methods before it in a list; alone it brings its own small noise, as R3F does."""

    method: Literal["consistency"] = "consistency"
    weight: float = Field(1.0, ge=0, description="of the symmetric KL divergence between clean and perturbed prediction")
    stop_gradient: bool = Field(False, description="each direction teaches only the side that is the second argument")
    clean: float = Field(1.0, ge=0, le=1, description="share of the clean input in the task's loss")
    noise: Literal["uniform", "normal"] = Field("uniform", description="what is added to the embeddings where it stands alone")
    scale: float = Field(1e-5, ge=0, description="of that noise, absolute: half its width, or its standard deviation")
    same_dropout: bool = Field(False, description="all forwards of a micro-batch draw the same dropout masks")


Method = Annotated[
    Off | Adversarial | Free | Random | Substitution | CodeSwitch | Subword | Consistency, Field(discriminator="method")
]
METHODS: tuple[type[Section], ...] = (Adversarial, Free, Random, Substitution, CodeSwitch, Subword, Consistency)


def word_lists(method: Section) -> list[Path]:
    """The files that a method reads: what stands in them determines what is trained."""
    match method:
        case Substitution(synonyms=dict() as files):
            return [files[language] for language in sorted(files)]
        case Substitution(synonyms=Path() as file):
            return [file]
        case CodeSwitch():
            return [method.dictionaries / f"en-{code}.txt" for code in method.languages]
    return []


def known_options() -> set[str]:
    """The options of all methods."""
    return {name for kind in METHODS for name in kind.model_fields}


def _in_order(methods: tuple[Any, ...]) -> Any:
    """One method stands for itself. Consistency compares what the others made, so it comes after them."""
    names = [method.method for method in methods]
    if "consistency" in names[:-1]:
        raise ValueError("consistency comes last: it compares the clean input with what the methods before it made")
    return methods[0] if len(methods) == 1 else methods or Off()


Robust = Annotated[
    Annotated[Method, Tag("one")] | Annotated[tuple[Method, ...], AfterValidator(_in_order), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "one"),
]
