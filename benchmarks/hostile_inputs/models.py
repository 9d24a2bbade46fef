"""Model folders: what is read of them before anything is built, and the weights themselves."""

import json
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load, save
from tiny import tiny_benchmark, tiny_model

from hostile_inputs.changes import LFS, TEXT, Change, other
from hostile_inputs.files import FileReader
from hostile_inputs.official import DEEP, LONG
from xdist.config import Model as ModelSection
from xdist.data.tokenizer import load_tokenizer
from xdist.estimate.shapes import shape_of
from xdist.model.backbone import load_config
from xdist.model.encoder import load_encoder
from xdist.model.lineage import read_lineage
from xdist.resolve.encoder import read_encoder
from xdist.tasks.catalog import task

WEIGHTS = "model.safetensors"
HEADS = {"cldr-topic": {"family": "classification", "task": "cldr-topic", "labels": list(task("cldr-topic").labels)}}


@lru_cache
def whole() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as place:
        folder = tiny_model(Path(place) / "encoder", tiny_benchmark(Path(place) / "benchmark"))
        return {path.name: path.read_bytes() for path in folder.iterdir()} | {"heads.json": json.dumps(HEADS).encode()}


def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
    return dict(whole()), lambda found: found is not None


def looked_at(place: Path) -> Any:
    """As a dry run does."""
    shape_of(str(place))
    read_lineage(str(place))
    load_config(str(place))
    return read_encoder(str(place))


def loaded(place: Path) -> Any:
    """Into memory, as a start does."""
    section = ModelSection(backbone=str(place))
    return load_encoder(section, load_tokenizer(str(place)), torch.float32)


def setting(**values: Any) -> Change:
    return lambda rng, raw: json.dumps({**json.loads(raw), **values}).encode()


def lacking(name: str) -> Change:
    return lambda rng, raw: json.dumps({key: value for key, value in json.loads(raw).items() if key != name}).encode()


def a_weight(change: Callable[[Random, dict[str, torch.Tensor]], object]) -> Change:
    def changed(rng: Random, raw: bytes) -> bytes:
        weights = load(raw)
        change(rng, weights)
        return save(weights, {"format": "pt"})

    return changed


def not_finite(value: float) -> Change:
    def change(rng: Random, weights: dict[str, torch.Tensor]) -> None:
        name = rng.choice([name for name in weights if ".layer." in name or name.startswith("embeddings")])
        weights[name].view(-1)[rng.randrange(weights[name].numel())] = value

    return a_weight(change)


def without_pooler(weights: dict[str, torch.Tensor]) -> list[str]:
    return sorted(name for name in weights if "pooler" not in name and "position_ids" not in name)


JSON: dict[str, Change] = {
    **{name: change for name, change in TEXT.items() if name != "half a surrogate pair as bytes"},
    "a list": other(b"[]"),
    "too deep": other(DEEP.encode()),
    "a number of 5000 digits": other(f'{{"vocab_size": {LONG}}}'.encode()),
    "cut": lambda rng, raw: raw[: len(raw) // 2],
}
CONFIG: dict[str, Change] = {
    **JSON,
    "no type": lacking("model_type"),
    "an unknown type": setting(model_type="xlm-robertta"),
    "a decoder": setting(model_type="gpt2"),
    "quantized": setting(quantization_config={"quant_method": "mine"}),
    "a billion layers": setting(num_hidden_layers=10**9),
    "no layers": setting(num_hidden_layers=0),
    "a width below zero": setting(hidden_size=-64),
    "a width that is text": setting(hidden_size="64"),
    "heads that do not fit": setting(num_attention_heads=7),
    "more rows than weights": setting(vocab_size=50_000_000),
    "positions without bound": setting(max_position_embeddings=1 << 50),
}
FILE: dict[str, Change] = {
    "empty": other(b""),
    "Git LFS pointer": other(LFS),
    "cut": lambda rng, raw: raw[:-1],
    "longer": lambda rng, raw: raw + b"x",
    "a header without end": lambda rng, raw: b"\xff" * 8 + raw[8:],
    "a header too deep": lambda rng, raw: (50_000).to_bytes(8, "little") + DEEP.encode(),
}
READERS = [
    FileReader("model folder, config.json", valid, looked_at, "config.json", CONFIG, named=False),
    FileReader("model folder, heads.json", valid, looked_at, "heads.json", JSON),
    FileReader("model folder, weights", valid, looked_at, WEIGHTS, FILE),
    FileReader(
        "weights that are loaded",
        valid,
        loaded,
        WEIGHTS,
        {
            **FILE,
            "not a number": not_finite(float("nan")),
            "infinite": not_finite(float("-inf")),
            "a weight less": a_weight(lambda rng, weights: weights.pop(rng.choice(without_pooler(weights)))),
            "a weight of another shape": a_weight(
                lambda rng, weights: weights.update({rng.choice(without_pooler(weights)): torch.ones(3)})
            ),
        },
        named=False,
    ),
]
