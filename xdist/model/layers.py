"""The lower layers of an encoder alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xdist.config import Model as ModelSection
from xdist.model.kinds import EncoderKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def can_cut(kind: EncoderKind) -> bool:
    """Whether it is known how an encoder of this kind is made to run its lower layers alone."""
    return bool(kind.layers or kind.counter)


@contextmanager
def keep_lower_layers(encoder: "PreTrainedModel", kind: EncoderKind, number: int) -> Iterator[None]:
    """Inside, an encoder of a kind that can be cut ends after its first `number` layers, at least one and fewer than it has:
    its last hidden state is then that of this layer."""
    from torch import nn  # here alone: what a run may freeze is checked without torch

    assert kind.stack is not None
    stack: Any = encoder.get_submodule(kind.stack)
    parts: dict[str, Any] = {}
    if kind.closing:
        parts[kind.closing] = stack.get_submodule(kind.closing)
        setattr(stack, kind.closing, nn.Identity())
    name = kind.layers or kind.counter
    parts[name] = getattr(stack, name)
    setattr(stack, name, parts[name][:number] if kind.layers else number)
    try:
        yield
    finally:
        for name, part in parts.items():
            setattr(stack, name, part)


def has_numbered_layers(kind: EncoderKind) -> bool:
    """Whether each layer of encoders of this kind has its own weights, which `depth_of` finds."""
    return can_cut(kind)


def check_frozen(section: ModelSection, kind: EncoderKind, name: str, layers: int, heads: bool) -> None:
    """Raises UserError where `section` leaves more layers as they are than an encoder of type `name` has, `layers`, or all
    of them where no `heads` are trained with it, and where its layers share their weights."""
    if section.frozen_layers and not has_numbered_layers(kind):
        raise section.error(("frozen_layers",), f"the layers of encoders of type '{name}' share their weights")
    if section.frozen_layers > (most := layers if heads else layers - 1):
        alone = "" if heads else ", since nothing else is trained"
        raise section.error(("frozen_layers",), f"of {layers} layers at most {most} can stay as they are{alone}")


def depth_of(name: str, kind: EncoderKind) -> int | None:
    """Of the weight `name` of an encoder whose kind has numbered layers: 0 of the embeddings, n of layer n, counted from 1;
    None of what belongs to no layer, such as a norm after the last one."""
    path, stack = name.split("."), kind.stack.split(".") if kind.stack else []
    inside = path[len(stack) :] if path[: len(stack)] == stack else []
    own = inside[:1] == [kind.layers] if kind.layers else True  # XLM's encoder holds lists of what a layer has
    if own and len(inside) > 2 and inside[1].isdecimal():
        return int(inside[1]) + 1
    return 0 if "embed" in (inside or path)[0] or path[0] == kind.embedded else None
