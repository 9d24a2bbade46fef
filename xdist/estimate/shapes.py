"""The sizes of an encoder, from its configuration alone: no weights are read and, for the kinds listed here, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xdist.data.fetched import may_be_hub_id
from xdist.errors import UserError, unknown
from xdist.files import read_json

# Encoders built as BERT is. Others are counted on the meta device, and their activations estimated as if they were.
LIKE_BERT = ("bert", "roberta", "camembert", "xlm-roberta", "xlm-roberta-xl")
# Pieces, width, layers, attention heads, inner width: Conneau et al. 2020 (arXiv 1911.02116), Goyal et al. 2021 (arXiv
# 2105.00572), and the encoder of `xdist demo`.
BUILT_IN = {
    "demo": (250037, 384, 12, 12, 1536),
    "xlm-roberta-base": (250002, 768, 12, 12, 3072),
    "xlm-roberta-large": (250002, 1024, 24, 16, 4096),
    "xlm-roberta-xl": (250880, 2560, 36, 32, 10240),
    "xlm-roberta-xxl": (250880, 4096, 48, 32, 16384),
}
SHORT = {name.removeprefix("xlm-roberta-"): name for name in BUILT_IN}
POSITIONS = 514  # of XLM-R, the two before the first real one included


@dataclass(frozen=True, slots=True)
class Shape:
    """`parameters` counts the encoder as xdist trains it: without the pooler, and without heads."""

    name: str
    pieces: int
    width: int
    layers: int
    heads: int
    inner: int
    positions: int  # and kinds of segments: what is embedded beside pieces
    parameters: int

    @property
    def embedding(self) -> int:
        """Parameters of the table of pieces."""
        return self.pieces * self.width

    @property
    def matrices(self) -> int:
        """Parameters of the layers' matrices: what multiplies each token."""
        return self.layers * (4 * self.width**2 + 2 * self.width * self.inner)

    @property
    def layer(self) -> int:
        """Parameters of one layer."""
        return 4 * self.width**2 + 2 * self.width * self.inner + 9 * self.width + self.inner


def shape_of(model: str) -> Shape:
    """The shape of a built-in name (base, large, xl, xxl, demo, or in full), a folder with config.json, or a hub id whose
    config.json is in the cache. Raises UserError."""
    name = SHORT.get(model, model.removeprefix("facebook/").removeprefix("FacebookAI/"))
    folder = Path(model)
    if name in BUILT_IN and not folder.is_dir():
        pieces, width, layers, heads, inner = BUILT_IN[name]
        return _like_bert(
            name,
            {
                "vocab_size": pieces,
                "hidden_size": width,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "intermediate_size": inner,
                "max_position_embeddings": POSITIONS,
                "type_vocab_size": 1,
            },
        )
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UserError(f"{folder}: is not a model folder (no config.json)")
    if not folder.is_dir() and not may_be_hub_id(model):
        raise UserError(f"{model}: no such folder")
    if not folder.is_dir() and "/" not in model:
        raise UserError(unknown("model", model, [*SHORT, *BUILT_IN]) + "; a folder or a hub id will do too")
    values = read_json(folder / "config.json") if folder.is_dir() else _from_hub(model)
    kind = values.get("model_type")
    return _like_bert(model, values) if kind in LIKE_BERT else _on_meta(model, values)


def _like_bert(name: str, values: Mapping[str, Any]) -> Shape:
    try:
        width, inner, layers = (int(values[key]) for key in ("hidden_size", "intermediate_size", "num_hidden_layers"))
        pieces, heads = int(values["vocab_size"]), int(values["num_attention_heads"])
        positions = int(values["max_position_embeddings"]) + int(values["type_vocab_size"])
    except KeyError as error:
        raise UserError(f"{name}: config.json says nothing of {error}") from None
    shape = Shape(name, pieces, width, layers, heads, inner, positions, 0)
    # One norm beside those of the layers: after the embeddings, in XLM-R XL and XXL after the last layer.
    return replace(shape, parameters=(pieces + positions + 2) * width + layers * shape.layer)


def _on_meta(name: str, values: Mapping[str, Any]) -> Shape:
    """Of any other encoder that transformers knows."""
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.for_model(**values)
        with torch.device("meta"):
            encoder = AutoModel.from_config(config)
        pieces, width = encoder.get_input_embeddings().weight.shape
        sizes = (config.num_hidden_layers, config.num_attention_heads, config.intermediate_size)
        shape = Shape(name, pieces, width, *sizes, config.max_position_embeddings, 0)
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise UserError(f"{name}: not an encoder whose shape can be told: {str(error).strip().splitlines()[0]}") from None
    return replace(shape, parameters=sum(parameter.numel() for parameter in encoder.parameters()))


def _from_hub(model: str) -> dict[str, Any]:
    from transformers.utils.hub import cached_file

    try:
        path = cached_file(model, "config.json", local_files_only=True)  # a plan asks no network
    except (OSError, ValueError):
        path = None
    if path is None:
        raise UserError(
            f"{model}: neither a folder, nor fetched, nor in the hub's cache; `xdist fetch --model {model} --into ROOT` brings "
            f"it to ROOT/models/{model}: plan that folder, or a run whose data.root is ROOT"
        )
    return dict(read_json(Path(path)))
