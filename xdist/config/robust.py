"""`robust`: how training is perturbed. One method, or a list of methods that work together in their order.

Every method has its own options and refuses those of others; only `none` takes them and does nothing, so that
`robust.method=none` turns any run into its plain baseline. Options and what is done with them are in the file of the method.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    SerializeAsAny,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from xdist.config.fitting import fit_values
from xdist.config.loading import Reading
from xdist.config.method import METHODS, Method, register
from xdist.config.scalars import Scalar
from xdist.config.section import LARGE, Section
from xdist.errors import UserError

Place = Literal["input", "embedding", "last"]
Norm = Literal["l2", "linf"]
Distribution = Literal["uniform", "gaussian"]


class InBall(Section):
    """A method that moves tokens inside a ball."""

    radius: float = Field(0.05, ge=0, le=1000, description="of the ball, relative to the norm of the embeddings inside it")
    norm: Norm = Field("l2", description="in which the ball is round; linf: a cube")
    ball: Literal["example", "token"] = Field(
        "example", description="one ball round all tokens of an example, or one round each"
    )
    perturb_special: bool = Field(False, description="move the special tokens too")
    same_dropout: bool = Field(False, description="all forwards of a micro-batch draw the same dropout masks")


class Ascending(InBall):
    """What climbs the loss."""

    steps: int = Field(1, ge=0, le=10_000, description="ascent steps")
    step_size: float = Field(1.5, gt=0, le=1000, description="length of one ascent step, times radius / steps")
    every: int = Field(1, ge=1, le=LARGE, description="perturb one step in N; the others are plain")
    random_start: bool = Field(False, description="begin anywhere in the ball, not at its centre")


class Noise(InBall):
    """Noise drawn from a ball, in training or at evaluation."""

    distribution: Distribution = Field("uniform", description="of the noise: in the ball, or a Gaussian of that size")
    draws: int = Field(1, ge=1, le=10_000, description="noises per example; their losses are averaged")
    place: Place = Field("input", description="input embedding, output of the embedding layer, or last hidden state")


class Off(Method):
    """Plain training."""

    method: Literal["none"] = "none"

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, values: Any, info: ValidationInfo) -> Any:
        """The options of other methods."""
        if not isinstance(values, dict) or set(values) <= {"method"}:
            return values
        kinds = list(METHODS) if Reading.of(info).imports else list(METHODS.ours().values())
        known = {name for kind in kinds for name in (*kind.model_fields, *kind.earlier)}
        return {key: value for key, value in values.items() if key == "method" or key not in known}


class NotHere(Method):
    """A method of a plugin that was not imported, in a run folder that is only looked at: its options as they are written
    there."""

    model_config = ConfigDict(extra="allow")

    def passes(self, before: Any, context: Any) -> Any:
        raise UserError(f"robust.method: '{self.method}' is not known here")

    def cost(self, before: Any, alone: bool) -> Any:
        return before


def _read_method(value: Any, info: ValidationInfo) -> Method:
    """The method that a mapping describes. Raises what pydantic takes for an error of the field, at the key where it is."""
    if isinstance(value, Method):
        return value
    if not isinstance(value, dict):
        raise PydanticKnownError("model_type", {"class_name": "Method"})
    if "method" not in value:
        raise _at_method("missing", value)
    reading = Reading.of(info)
    name = value["method"].written if isinstance(value["method"], Scalar) else value["method"]
    if not isinstance(name, str):
        raise _at_method("string_type", name)
    kind = METHODS.ours().get(name)
    if kind is None and not reading.imports:
        kind = NotHere
    try:
        kind = kind or METHODS.get(name, info.data.get("plugins", ()))
    except UserError as error:
        raise _at_method(PydanticCustomError("unknown", "{message}", {"message": str(error)}), name) from None
    return kind.model_validate(fit_values(kind, value), context=reading)


def _at_method(kind: str | PydanticCustomError, value: Any) -> ValidationError:
    return ValidationError.from_exception_data("robust", [InitErrorDetails(type=kind, loc=("method",), input=value)])


def _in_order(methods: tuple[Method, ...]) -> Any:
    """One method stands for itself; none is plain training."""
    for method in methods[:-1]:
        if method.comes_last:
            raise ValueError(f"{method.method} comes last: {method.comes_last}")
    return methods[0] if len(methods) == 1 else methods or Off()


One = Annotated[SerializeAsAny[Method], PlainValidator(_read_method)]
Robust = Annotated[
    Annotated[One, Tag("one")] | Annotated[tuple[One, ...], AfterValidator(_in_order), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "one"),
]


def in_order(robust: Method | tuple[Method, ...]) -> tuple[Method, ...]:
    """The methods of a value of `Robust`; none where training is plain."""
    given = robust if isinstance(robust, tuple) else (robust,)
    return tuple(method for method in given if not isinstance(method, Off))


register(Off)
