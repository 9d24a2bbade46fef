"""What xdist knows of each kind of encoder, by its model type. What it does not know of a kind it leaves to transformers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class EncoderKind:
    # Attention knows of order by learned positions alone, lets any token see any other, and asks transformers' interface for
    # it, so sequences need no padding. Others (rotary positions, windows, relative distances) are padded.
    packs: bool = False
    # The module that runs one layer of its list `layer` after another, so that the lower layers can be run alone.
    stack: str | None = None
    # The norm of that module which comes after the last layer, and is no part of the states of any layer below.
    closing: str | None = None


_LIKE_BERT = EncoderKind(packs=True, stack="encoder")
KINDS = {
    "bert": _LIKE_BERT,
    "camembert": _LIKE_BERT,
    "deberta-v2": EncoderKind(stack="encoder"),
    "electra": _LIKE_BERT,
    "rembert": EncoderKind(stack="encoder"),
    "roberta": _LIKE_BERT,
    "xlm-roberta": _LIKE_BERT,
    "xlm-roberta-xl": EncoderKind(packs=True, stack="encoder", closing="LayerNorm"),
}


def kind_of(config: PretrainedConfig) -> EncoderKind:
    return KINDS.get(config.model_type, EncoderKind())


@contextmanager
def only_layers(encoder: PreTrainedModel, kind: EncoderKind, number: int) -> Iterator[None]:
    """Inside, an encoder of a kind with a `stack` ends after its first `number` layers, at least one and fewer than it has:
    its last hidden state is then that of this layer."""
    assert kind.stack
    stack = encoder.get_submodule(kind.stack)
    parts: dict[str, nn.Module] = {"layer": stack.get_submodule("layer")}
    if kind.closing:
        parts[kind.closing] = stack.get_submodule(kind.closing)
        setattr(stack, kind.closing, nn.Identity())
    stack.layer = parts["layer"][:number]  # type: ignore[index]
    try:
        yield
    finally:
        for name, part in parts.items():
            setattr(stack, name, part)
