"""The lower layers of an encoder alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from xdist.model.kinds import EncoderKind


def cuts(kind: EncoderKind) -> bool:
    """Whether it is known how an encoder of this kind is made to run its lower layers alone."""
    return bool(kind.layers or kind.counter)


@contextmanager
def only_layers(encoder: PreTrainedModel, kind: EncoderKind, number: int) -> Iterator[None]:
    """Inside, an encoder of a kind that `cuts` ends after its first `number` layers, at least one and fewer than it has: its
    last hidden state is then that of this layer."""
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


def tells_layers(kind: EncoderKind) -> bool:
    """Whether each layer of encoders of this kind has weights of its own, which `depth` finds."""
    return cuts(kind)


def depth(name: str, kind: EncoderKind) -> int | None:
    """Of the weight `name` of an encoder of a kind that `tells_layers`: 0 of the embeddings, n of layer n, counted from 1; None
    of what belongs to no layer, such as a norm after the last one."""
    path, stack = name.split("."), kind.stack.split(".") if kind.stack else []
    inside = path[len(stack) :] if path[: len(stack)] == stack else []
    own = inside[:1] == [kind.layers] if kind.layers else True  # XLM's encoder holds lists of what a layer has
    if own and len(inside) > 2 and inside[1].isdecimal():
        return int(inside[1]) + 1
    return 0 if "embed" in (inside or path)[0] or path[0] == kind.embedded else None
