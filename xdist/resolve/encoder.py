"""What is known of an encoder and its tokenizer from their configuration files alone: no weights, and no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xdist.data.heads import heads_in
from xdist.errors import UserError
from xdist.formats.lines import read_json

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# Kinds that count positions from the padding id on, so that the first of them are never used.
AFTER_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert")


@dataclass(frozen=True, slots=True)
class Encoder:
    """`positions`: tokens of the longest sequence, special tokens included; None where the kind has no such bound. `heads`:
    those that lie beside the encoder, by name: (family, labels)."""

    place: str
    kind: str
    layers: int
    rows: int
    positions: int | None
    heads: Mapping[str, tuple[str, tuple[str, ...]]]


def read_encoder(place: str) -> Encoder | None:
    """The facts of a model folder, or of a hub id whose files are in the hub's cache; None for a hub id that is not here.
    Raises UserError for what is no model folder, and for a tokenizer and an embedding that do not belong together."""
    folder = Path(place)
    if not folder.is_dir():
        config = _cached(place, "config.json")
        if config is None:
            return None
        folder = config.parent
    elif not (folder / "config.json").is_file():
        raise UserError(f"{folder}: is not a model folder (no config.json)")
    elif not any((folder / name).is_file() for name in WEIGHTS):
        raise UserError(f"{folder}: holds no weights (none of {', '.join(WEIGHTS)})")
    path = folder / "config.json"
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("model_type"), str):
        raise UserError(f"{path}: names no model_type")
    # Names of XLM and DistilBERT beside everybody's.
    layers = _number(values, path, "num_hidden_layers", "n_layers")
    rows = _number(values, path, "vocab_size", "n_words")
    heads = {name: (entry["family"], tuple(entry["labels"])) for name, entry in heads_in(folder).items()}
    encoder = Encoder(place, values["model_type"], layers, rows, _positions(values), heads)
    largest = _largest_id(folder / "tokenizer.json")
    if largest is not None and largest >= rows:
        raise UserError(f"{place}: the tokenizer's ids reach {largest}, the encoder's embedding has {rows} rows")
    return encoder


def _number(values: Mapping[str, Any], path: Path, *names: str) -> int:
    for name in names:
        if isinstance(value := values.get(name), int) and not isinstance(value, bool) and value > 0:
            return value
    raise UserError(f"{path}: {names[0]} is {values.get(names[0], 'not there')!r}: expected a whole number above 0")


def _positions(values: Mapping[str, Any]) -> int | None:
    most = values.get("max_position_embeddings")
    if not isinstance(most, int) or values.get("position_biased_input") is False:  # only relative distances
        return None
    if values["model_type"] in AFTER_PADDING:
        return most - 1 - int(values.get("pad_token_id") or 0)
    return most


@lru_cache
def _ids_of(path: Path, _stamp: tuple[int, int]) -> int | None:
    try:
        values = json.loads(path.read_bytes())
        vocabulary = values["model"]["vocab"]
        added = [int(token["id"]) for token in values.get("added_tokens", [])]
        most = max(vocabulary.values()) if isinstance(vocabulary, dict) else len(vocabulary) - 1
        return max([most, *added])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # what is no tokenizer is said where it is loaded


def _largest_id(path: Path) -> int | None:
    if not path.is_file():
        return None
    status = path.stat()
    return _ids_of(path, (status.st_size, status.st_mtime_ns))


def _cached(place: str, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(place, name)
    return Path(found) if isinstance(found, str) else None
