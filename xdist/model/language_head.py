"""The language-model head that a published checkpoint holds beside its encoder, under the names of its kind."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers.utils.hub import cached_file

from xdist.model.model import Model
from xdist.tasks.mlm import LanguageHead

SINGLE, INDEX = ("model.safetensors", "pytorch_model.bin"), ("model.safetensors.index.json", "pytorch_model.bin.index.json")
# Our name of each part, and what XLM-R (all sizes) and BERT call it.
NAMES = (
    {"dense": "lm_head.dense", "layer_norm": "lm_head.layer_norm", "bias": "lm_head.bias"},
    {
        "dense": "cls.predictions.transform.dense",
        "layer_norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias",
    },
)


def load_language_heads(backbone: str, model: Model, carried: list[str]) -> list[str]:
    """Fill the language-model heads of `model` that were not carried over with the checkpoint's own; their names. A head that
    the checkpoint does not have starts from the tied embedding, with a random transformation before it."""
    heads = {name: head for name, head in model.heads.items() if isinstance(head, LanguageHead)}
    todo = [name for name in heads if name not in carried]
    found = _weights(backbone) if todo else {}
    if not found:
        return []
    for name in todo:
        head = heads[name]
        own = {key: value.to(head.dense.weight.dtype) for key, value in found.items()}
        if own["bias"].shape != head.bias.shape:  # published with a bias for each piece, used with a padded embedding
            own["bias"] = torch.nn.functional.pad(own["bias"], (0, len(head.bias) - len(own["bias"])))
        head.load_state_dict(own, strict=False)
    return todo


def _weights(backbone: str) -> dict[str, Tensor]:
    """Our names to tensors; empty where the checkpoint has no such head, or not all of it."""
    files = _files(backbone)
    for names in NAMES:
        wanted = {
            f"{theirs}.{part}" if name != "bias" else theirs: f"{name}.{part}" if name != "bias" else name
            for name, theirs in names.items()
            for part in (("weight", "bias") if name != "bias" else ("",))
        }
        found: dict[str, Tensor] = {}
        for file in files:
            found |= {wanted[name]: value for name, value in _read(file, set(wanted)).items()}
        if len(found) == len(wanted):
            return found
    return {}


def _files(backbone: str) -> list[str]:
    """The weight files of a folder or hub id that may hold the head: of many shards those that the index says."""
    optional = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    for single, index in zip(SINGLE, INDEX, strict=True):
        if file := cached_file(backbone, single, **optional):
            return [file]
        if listed := cached_file(backbone, index, **optional):
            entries = json.loads(Path(listed).read_text(encoding="utf-8"))["weight_map"]
            shards = {shard for name, shard in entries.items() if name.startswith(("lm_head.", "cls."))}
            return [file for shard in sorted(shards) if (file := cached_file(backbone, shard, **optional))]
    return []


def _read(file: str, names: set[str]) -> dict[str, Tensor]:
    if file.endswith(".bin"):
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        return {name: state[name] for name in names & state.keys()}
    with safe_open(file, framework="pt") as weights:
        return {name: weights.get_tensor(name) for name in names & set(weights.keys())}
