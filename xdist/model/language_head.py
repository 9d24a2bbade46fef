"""The language-model head that a published checkpoint has besides its encoder, under the names of its kind."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers.utils.hub import cached_file

from xdist.model.kinds import LanguageForm, kind_of
from xdist.model.model import Model
from xdist.tasks.mlm import LanguageHead

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# In checkpoints of long ago.
OLD = {"weight": "gamma", "bias": "beta"}


def load_language_heads(backbone: str, model: Model, carried: list[str]) -> list[str]:
    """Fill the language-model heads of `model` that were not carried over with the checkpoint's own; their names. A head that
    the checkpoint does not have starts from the tied embedding, with a random transformation before it."""
    heads = {name: head for name, head in model.heads.items() if isinstance(head, LanguageHead)}
    todo = [name for name in heads if name not in carried]
    found = _weights(backbone, heads[todo[0]], kind_of(model.encoder.config).language_heads) if todo else None
    if found is None:
        return []
    for name in todo:
        head = heads[name]
        own = {key: value.to(head.bias.dtype) for key, value in found.items()}
        for key in ("bias", "own.weight"):  # published with one for each piece, used with a padded embedding
            if key in own and (short := len(head.bias) - len(own[key])):
                own[key] = torch.nn.functional.pad(own[key], (*(0, 0) * (own[key].ndim - 1), 0, short))
        head.load_state_dict(own, strict=False)
    return todo


def _weights(backbone: str, head: LanguageHead, forms: Sequence[LanguageForm]) -> dict[str, Tensor] | None:
    """Our names to tensors, none where the head is but the embedding; None where the checkpoint does not have all of it."""
    for form in forms:
        theirs = {"dense": form.dense, "layer_norm": form.norm, "own": form.matrix.removesuffix(".weight")}
        ours = [name for name, _ in head.named_parameters() if name not in head.tied]
        wanted: dict[str, list[str]] = {}  # the names that each part may have there
        for name in ours:
            layer, _, part = name.rpartition(".")
            wanted[name] = [f"{theirs[layer]}.{part}", f"{theirs[layer]}.{OLD[part]}"] if layer else [form.bias]
        names = {there for many in wanted.values() for there in many}
        found: dict[str, Tensor] = {}
        for file in _files(backbone, names):
            found |= _read(file, names)
        own = {name: found[there] for name, many in wanted.items() for there in many if there in found}
        if len(own) == len(wanted):
            return own
    return None


def _files(backbone: str, names: Collection[str]) -> list[str]:
    """The weight files of a folder or hub id that may hold these: of many shards those that the index says."""
    optional = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    if file := cached_file(backbone, SINGLE, **optional):
        return [file]
    if listed := cached_file(backbone, INDEX, **optional):
        entries = json.loads(Path(listed).read_text(encoding="utf-8"))["weight_map"]
        shards = {shard for name, shard in entries.items() if name in names}
        return [file for shard in sorted(shards) if (file := cached_file(backbone, shard, **optional))]
    return []


def _read(file: str, names: set[str]) -> dict[str, Tensor]:
    with safe_open(file, framework="pt") as weights:
        return {name: weights.get_tensor(name) for name in names & set(weights.keys())}
