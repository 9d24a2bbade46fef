"""Adapters on an encoder: where they are, which of them are active, and what happens when they are merged.

An adapter is a set of modules in addition to those of the encoder, which keep their names and weights: LoRA is a child of each
matrix, `adapter_0` the lowest, and a hook adds what it says; a bottleneck adapter is a child of the norm that ends a layer.
With s what goes into that norm, and h what comes out, the layer gives norm(s + A(h)), as in MAD-X; each adapter above does the
same with what the one below left. Layers that end without a norm give s + A(h), h being s through a norm without weights.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xdist.config.adapter import Adapter, Target
from xdist.errors import UserError
from xdist.model.adapters import speaking
from xdist.model.adapters.held import INVERTIBLE, Attached, adapters_of, next_slot
from xdist.model.adapters.modules import Bottleneck, Invertible, Lora
from xdist.model.kinds import kind_of


def places_of(encoder: PreTrainedModel, targets: Sequence[Target]) -> list[str]:
    """The names of the matrices of these parts of the layers, in the encoder's order. Raises UserError for an encoder that has
    none of them."""
    kind = kind_of(encoder.config)
    patterns = kind.at([name for target in targets for name in (kind.attention if target == "attention" else kind.mlp)])
    wanted = re.compile("|".join(as_pattern(pattern) for pattern in patterns))
    places = [name for name, part in encoder.named_modules() if wanted.fullmatch(name) and isinstance(part, nn.Linear)]
    if not places:
        raise UserError(
            f"model.adapter: it is not known where the matrices of encoders of type '{encoder.config.model_type}' are"
        )
    return places


def as_pattern(name: str) -> str:
    """The regular expression of a name in which a star stands for each number."""
    return re.escape(name).replace(r"\*", r"\d+")


def ends_of(encoder: PreTrainedModel) -> list[str]:
    """The names of the norms that end layers, or of the layers where none does."""
    kind = kind_of(encoder.config)
    pattern = re.compile(as_pattern(*kind.at([kind.ends])) if kind.ends else as_pattern(kind.every_layer))
    return [name for name, _ in encoder.named_modules() if pattern.fullmatch(name)]


def begin_adapter(encoder: PreTrainedModel, section: Adapter, seed: int) -> Attached:
    """A new adapter as `section` describes it, to be trained above the existing ones; without modules where its rank is 0.
    Its weights depend only on the seed and their positions."""
    slot = next_slot(encoder)

    def seeded(place: str) -> None:
        torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed} {place}".encode()).digest()[:8]))

    modules: dict[str, nn.Module] = {}
    with torch.random.fork_rng(devices=[]):
        if not section.rank:
            pass
        elif section.kind == "lora":
            for place in places_of(encoder, section.stands_at):
                seeded(place)
                matrix: Any = encoder.get_submodule(place)
                modules[place] = Lora(matrix.in_features, matrix.out_features, section.rank, section.scale, section.dropout)
        else:
            for place in ends_of(encoder):
                seeded(place)
                modules[place] = Bottleneck(encoder.config.hidden_size, section.rank, section.dropout)
            if section.invertible:
                seeded(INVERTIBLE)
                modules[INVERTIBLE] = Invertible(embedded_width(encoder))
    return attach_adapter(encoder, Attached(section.kind, modules, slot, trained=True))


def embedded_width(encoder: PreTrainedModel) -> int:
    """Of the input embedding."""
    table: Any = encoder.get_input_embeddings()
    return int(table.embedding_dim)


def attach_adapter(encoder: PreTrainedModel, adapter: Attached) -> Attached:
    """Put `adapter` above the adapters that `encoder` has, frozen unless it is trained."""
    adapters = adapters_of(encoder)
    adapters.adapters.append(adapter)
    for place, module in adapter.modules.items():
        module.to(encoder.dtype).requires_grad_(adapter.trained).train(encoder.training)
        at = encoder.get_input_embeddings() if place == INVERTIBLE else encoder.get_submodule(place)
        at.add_module(adapter.slot, module)
        if adapter.kind == "lora":
            at.register_forward_hook(partial(speaking.add_lora, module))
        elif place not in adapters.hooked:
            adapters.hooked.add(place)
            through = partial(speaking.apply_adapters, ends=bool(kind_of(encoder.config).ends))
            at.register_forward_hook(partial(speaking.apply_invertible if place == INVERTIBLE else through, adapters, place))
    return adapter


@torch.no_grad()
def merge_lora(encoder: PreTrainedModel, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The weights of the encoder alone, with what LoRA adds to its matrices in them. `state`: its weights, adapters included,
    where they are not in it. Raises UserError for a bottleneck adapter, which no matrix can take up."""
    adapters = adapters_of(encoder)
    if any(adapter.kind != "lora" for adapter in adapters.adapters):
        raise UserError("a bottleneck adapter cannot be merged into the encoder: keep it (xdist export --adapter kept)")
    values = dict(encoder.state_dict() if state is None else state)
    for adapter in adapters.adapters:
        for place, module in adapter.modules.items():
            assert isinstance(module, Lora)
            own = f"{place}.{adapter.slot}."
            a, b = values.pop(f"{own}lora_A"), values.pop(f"{own}lora_B")
            matrix = values[f"{place}.weight"]
            values[f"{place}.weight"] = (matrix.double() + (b.double() @ a.double()) * module.scale).to(matrix.dtype)
    return values
