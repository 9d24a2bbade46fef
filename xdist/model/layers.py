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
