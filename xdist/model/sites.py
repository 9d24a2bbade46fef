"""Where a shift enters the model: forward hooks on the input embedding and on the embedding layer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn
from transformers import PreTrainedModel

from xdist.errors import UserError
from xdist.tasks.batch import Batch, Place, Shift

BEFORE_LAYERS: tuple[Place, ...] = ("input", "embedding")


@contextmanager
def shifted(encoder: PreTrainedModel, batch: Batch, shifts: Sequence[Shift]) -> Iterator[None]:
    """Inside, the encoder adds those of `shifts` that lie before its layers to the states of the tokens of `batch`."""
    handles = []
    try:
        for place in BEFORE_LAYERS:
            here = [shift for shift in shifts if shift.place == place]
            if here:
                handles.append(site(encoder, place).register_forward_hook(partial(_add_all, batch, here)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def site(encoder: PreTrainedModel, place: Place) -> nn.Module:
    """The module whose output is shifted. Raises UserError for an encoder that does not say which its embedding layer is."""
    layer = encoder.get_input_embeddings() if place == "input" else getattr(encoder, "embeddings", None)
    if not isinstance(layer, nn.Module):
        raise UserError(f"place: embedding: a model of type '{encoder.config.model_type}' has no module 'embeddings'")
    return layer


def delta_of(shift: Shift, states: Tensor) -> Tensor:
    """What is added to `states` (T, d), in their precision."""
    delta = shift.delta if isinstance(shift.delta, Tensor) else shift.delta(states.detach().float())
    return delta.to(states.dtype)


def _add_all(batch: Batch, shifts: Sequence[Shift], _module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    """Add to the states of the tokens of `batch`, in either layout."""
    states = output.flatten(0, -2)
    padded = len(states) != len(batch.tokens)
    for shift in shifts:
        delta = delta_of(shift, batch.of_tokens(states))
        states = states.index_add(0, batch.padded_index, delta) if padded else states + delta
    return states.view_as(output)
