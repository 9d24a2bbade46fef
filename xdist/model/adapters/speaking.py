"""What the hooks of adapters do while an encoder computes, each row read by the adapter of its language."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from transformers import PreTrainedModel

from xdist.errors import UserError
from xdist.model.adapters.held import INVERTIBLE, Attached, BatchRead, Held, adapters_of, tokens_read_by
from xdist.model.adapters.modules import Invertible
from xdist.tasks.batch import Batch
from xdist.tasks.mlm import LanguageHead


@contextmanager
def reading_batch(encoder: nn.Module, batch: Batch) -> Iterator[None]:
    """Inside, the encoder reads `batch`, each row by the adapter of its language."""
    adapters = adapters_of(encoder)
    if not adapters.languages:
        yield
        return
    before, adapters.reading = adapters.reading, BatchRead(batch)
    try:
        yield
    finally:
        adapters.reading = before


def recompute_arguments(encoder: nn.Module) -> dict[str, Any]:
    """Arguments for PyTorch's checkpointing so that layers that are computed again in the backward pass read the same batch."""
    adapters = adapters_of(encoder)
    if not adapters.languages:
        return {}

    @contextmanager
    def again(reading: BatchRead | None) -> Iterator[None]:
        before, adapters.reading = adapters.reading, reading
        try:
            yield
        finally:
            adapters.reading = before

    return {"context_fn": lambda: (nullcontext(), again(adapters.reading))}


def invert_before(encoder: PreTrainedModel, head: LanguageHead) -> None:
    """Let what a language-model head multiplies by the embedding go back through the invertible adapters after it."""
    modules = [
        adapter.modules[INVERTIBLE]
        for adapter in adapters_of(encoder).adapters
        if adapter.language is None and INVERTIBLE in adapter.modules
    ]
    if any(INVERTIBLE in adapter.modules for adapter in adapters_of(encoder).languages):
        raise UserError("model.adapter.languages: a language model cannot be above invertible language adapters")
    if not modules:
        return
    if head.own is not None:
        raise UserError("model.adapter.invertible: the language-model head of this encoder does not multiply by its embedding")

    def inverse(states: Tensor) -> Tensor:
        for module in reversed(modules):
            assert isinstance(module, Invertible)
            states = module.inverse(states)
        return states

    if (last := head.layer_norm or head.dense) is None:
        head.register_forward_pre_hook(lambda _head, inputs: (inverse(inputs[0]), *inputs[1:]))
    elif last is head.layer_norm:
        last.register_forward_hook(lambda _norm, _inputs, output: inverse(output))
    else:
        raise UserError("model.adapter.invertible: the language-model head of this encoder has no norm before the product")


def add_lora(module: nn.Module, _matrix: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    added: Tensor = module(inputs[0], output)
    return added


def apply_adapters(adapters: Held, place: str, norm: nn.Module, inputs: tuple[Tensor, ...], output: Any, *, ends: bool) -> Any:
    """What a layer gives with the adapters at `place`: the norm that `ends` it, or the layer itself."""
    states = output if isinstance(output, Tensor) else output[0]
    total = inputs[0] if ends else states
    for adapter, module in _adapters_at(adapters, place):
        seen = states if ends else layer_norm(states.float(), states.shape[-1:]).to(states.dtype)
        total = total + _adapter_change(adapters, adapter, module, seen)
        # By its forward alone: called, it would come here again.
        states = norm.forward(total) if ends else total
    return states if isinstance(output, Tensor) else (states, *output[1:])


def apply_invertible(adapters: Held, place: str, _table: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    for adapter, module in _adapters_at(adapters, place):
        output = output + _adapter_change(adapters, adapter, module, output, changed=True)
    return output


def _adapters_at(adapters: Held, place: str) -> list[tuple[Attached, nn.Module]]:
    """Those of languages first: all that is trained on a task is above them."""
    modules = [(adapter, adapter.modules[place]) for adapter in adapters.adapters if place in adapter.modules]
    return sorted(modules, key=lambda pair: pair[0].language is None)


def _adapter_change(adapters: Held, adapter: Attached, module: nn.Module, states: Tensor, changed: bool = False) -> Tensor:
    """What is added to `states` (…, d) by an adapter, of one of a language to the tokens of the rows that it speaks for alone.
    `changed`: the module gives new states, not what is added to them."""

    def added(some: Tensor) -> Tensor:
        given: Tensor = module(some)
        return given - some if changed else given

    if adapter.language is None:
        return added(states)
    places, flat = tokens_read_by(adapters, adapter), states.flatten(0, -2)
    if places is None or adapters.reading is None:
        return added(states)
    batch = adapters.reading.batch
    if len(flat) != len(batch.tokens):
        places = batch.padded_index[places]
    # Also for no token at all: at ZeRO 3 each rank gathers the same weights in the same order.
    return torch.zeros_like(flat).index_copy(0, places, added(flat[places]).to(flat.dtype)).view_as(states)
