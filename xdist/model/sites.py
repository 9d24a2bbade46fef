"""Where a shift enters the model: forward hooks on the input embedding, the embedding layer, and the stack of layers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from xdist.config.robust import Place
from xdist.errors import UserError
from xdist.model.kinds import kind_of
from xdist.tasks.batch import Batch, Shift

BEFORE_LAYERS: tuple[Place, ...] = ("input", "embedding")


@contextmanager
def shift_inputs(encoder: PreTrainedModel, batch: Batch, shifts: Sequence[Shift]) -> Iterator[None]:
    """Inside, the encoder adds those of `shifts` that are before its layers to the states of the tokens of `batch`."""
    handles = []
    try:
        for place in BEFORE_LAYERS:
            here = [shift for shift in shifts if shift.place == place]
            if here:
                handles.append(shifted_module(encoder, place).register_forward_hook(partial(_add_all, batch, here)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def shift_last_states(encoder: PreTrainedModel, batch: Batch, shifts: Sequence[Shift]) -> Iterator[None]:
    """Inside, the encoder adds those of `shifts` that are after its layers to its last hidden states, before any pooler. Raises
    UserError for an encoder that does not say where that is."""
    here = [shift for shift in shifts if shift.place == "last"]
    handle = last_module(encoder).register_forward_hook(partial(_add_to_last, batch, here)) if here else None
    try:
        yield
    finally:
        if handle:
            handle.remove()


def shifted_module(encoder: PreTrainedModel, place: Place) -> nn.Module:
    """The module whose output is shifted. Raises UserError for an encoder that does not say which its embedding layer is."""
    if place == "input":
        return encoder.get_input_embeddings()
    name = kind_of(encoder.config).embedded
    try:
        return encoder.get_submodule(name)
    except AttributeError:
        raise UserError(f"place: embedding: a model of type '{encoder.config.model_type}' has no module '{name}'") from None


def last_module(encoder: PreTrainedModel) -> nn.Module:
    """The module whose output has the last hidden states that heads and a pooler read."""
    kind = kind_of(encoder.config)
    if (name := kind.stack if kind.last is None else kind.last) is not None:
        return encoder.get_submodule(name)
    if getattr(encoder, "pooler", None) is None:
        return encoder
    raise UserError(f"place: last: of a model of type '{encoder.config.model_type}' it is not known what its pooler reads")


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


def _add_to_last(batch: Batch, shifts: Sequence[Shift], module: nn.Module, inputs: object, output: Any) -> Any:
    states = _add_all(batch, shifts, module, inputs, output[0])
    if isinstance(output, tuple):
        return states, *output[1:]
    output["last_hidden_state"] = states
    return output
