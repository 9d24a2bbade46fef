"""The sizes of an encoder, from its configuration alone: no weights are read and, for the kinds listed here, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xdist.config.branches import Branches
from xdist.data.branches import BranchIndex, branches_in
from xdist.data.fetched import may_be_hub_id
from xdist.errors import UserError, unknown
from xdist.files import read_json
from xdist.model.admission import check_values
from xdist.model.kinds import check_kind

# Encoders built as BERT is. Others are counted on the meta device, and their activations estimated as if they were.
LIKE_BERT = ("bert", "roberta", "camembert", "xlm-roberta", "xlm-roberta-xl")


def _sizes(kind: str, pieces: int, width: int, layers: int, heads: int, inner: int, **more: Any) -> dict[str, Any]:
    named = {"vocab_size": pieces, "hidden_size": width, "num_hidden_layers": layers}
    # Ids within the smallest vocabulary: transformers warns of others.
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0)
    return {"model_type": kind, **named, "num_attention_heads": heads, "intermediate_size": inner, **ids, **more}


# Pieces, width, layers, attention heads, inner width: Conneau et al. 2020 (arXiv 1911.02116), Goyal et al. 2021 (arXiv
# 2105.00572), and the encoder of `xdist demo`.
BUILT_IN = {
    "demo": (250037, 384, 12, 12, 1536),
    "xlm-roberta-base": (250002, 768, 12, 12, 3072),
    "xlm-roberta-large": (250002, 1024, 24, 16, 4096),
    "xlm-roberta-xl": (250880, 2560, 36, 32, 10240),
    "xlm-roberta-xxl": (250880, 4096, 48, 32, 16384),
}
# next to them, those that XLM-R is compared with: what their config.json says of sizes (docs/encoders.md).
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "mbert": _sizes("bert", 119547, 768, 12, 12, 3072, max_position_embeddings=512, type_vocab_size=2),
    "xlm-100": {
        "model_type": "xlm",
        "vocab_size": 200000,
        "emb_dim": 1280,
        "n_layers": 16,
        "n_heads": 16,
        "use_lang_emb": False,
    },
    "mmbert-small": _sizes("modernbert", 256000, 384, 22, 6, 1152, max_position_embeddings=8192),
    "mmbert-base": _sizes("modernbert", 256000, 768, 22, 12, 1152, max_position_embeddings=8192),
    "eurobert-210m": _sizes("eurobert", 128256, 768, 12, 12, 3072, max_position_embeddings=8192),
    "mdeberta-v3-base": _sizes(
        "deberta-v2",
        251000,
        768,
        12,
        12,
        3072,
        max_position_embeddings=512,
        type_vocab_size=0,
        relative_attention=True,
        position_buckets=256,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
    ),
}
# What the hub calls them, in small letters.
ON_THE_HUB = {"bert-base-multilingual-cased": "mbert", "xlm-mlm-100-1280": "xlm-100"}
SHORT = {name.removeprefix("xlm-roberta-"): name for name in BUILT_IN} | {name: name for name in OTHERS}
POSITIONS = 514  # of XLM-R, the two before the first real one included


@dataclass(frozen=True, slots=True)
class Shape:
    """`parameters` counts the encoder as xdist trains it: without the pooler, and without heads. `counted`, of a kind that is
    not built like BERT: parameters of the table of pieces, of all layers' matrices, and of one layer."""

    name: str
    pieces: int
    width: int
    layers: int
    heads: int
    inner: int
    positions: int  # and kinds of segments: what is embedded in addition to pieces
    parameters: int
    counted: tuple[int, int, int] | None = None

    @property
    def embedding(self) -> int:
        """Parameters of the table of pieces."""
        return self.counted[0] if self.counted else self.pieces * self.width

    @property
    def matrices(self) -> int:
        """Parameters of the layers' matrices: what multiplies each token."""
        return self.counted[1] if self.counted else self.layers * (4 * self.width**2 + 2 * self.width * self.inner)

    @property
    def layer(self) -> int:
        """Parameters of one layer."""
        return (
            self.counted[2] if self.counted else 4 * self.width**2 + 2 * self.width * self.inner + 9 * self.width + self.inner
        )


def branched(shape: Shape, branches: Branches | BranchIndex | None) -> Shape:
    """`shape` with branches, of which the first is the encoder's own layers."""
    if branches is None or not branches.languages:
        return shape
    more = (len(branches.languages) - 1) * min(branches.layers, shape.layers)
    return replace(shape, parameters=shape.parameters + more * shape.layer)


def shape_of(model: str) -> Shape:
    """The shape of a built-in name (base, large, xl, xxl, demo, or in full), a folder with config.json, or a hub id whose
    config.json is in the cache. Raises UserError."""
    name = SHORT.get(model, model.removeprefix("facebook/").removeprefix("FacebookAI/"))
    folder, last = Path(model), model.rpartition("/")[2].lower()
    if (known := OTHERS.get(ON_THE_HUB.get(last, last))) and not folder.is_dir():
        return _of_values(ON_THE_HUB.get(last, last), known)
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
    return branched(_of_values(model, values), branches_in(model))


def _of_values(name: str, values: Any) -> Shape:
    if not isinstance(values, dict):
        raise UserError(f"{name}: config.json holds no 'key: value' pairs")
    check_kind(name, values)
    check_values(name, values)
    return _like_bert(name, values) if values["model_type"] in LIKE_BERT else _on_meta(name, values)


def _like_bert(name: str, values: Mapping[str, Any]) -> Shape:
    try:
        width, inner, layers = (int(values[key]) for key in ("hidden_size", "intermediate_size", "num_hidden_layers"))
        pieces, heads = int(values["vocab_size"]), int(values["num_attention_heads"])
        positions = int(values["max_position_embeddings"]) + int(values["type_vocab_size"])
    except KeyError as error:
        raise UserError(f"{name}: config.json says nothing of {error}") from None
    except (TypeError, ValueError):
        raise UserError(f"{name}: a size in config.json is no number") from None
    shape = Shape(name, pieces, width, layers, heads, inner, positions, 0)
    # One norm in addition to those of the layers: after the embeddings, in XLM-R XL and XXL after the last layer.
    return replace(shape, parameters=(pieces + positions + 2) * width + layers * shape.layer)


def _on_meta(name: str, values: Mapping[str, Any]) -> Shape:
    """Of any other kind of encoder."""
    import torch
    from transformers import MODEL_MAPPING, AutoConfig

    from xdist.model.encoder import without_pooler

    try:
        config = AutoConfig.for_model(**values)
        kind: Any = MODEL_MAPPING[type(config)]
        with torch.device("meta"):
            encoder: Any = kind(config, **without_pooler(kind))
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise UserError(f"{name}: not an encoder whose shape is known: {str(error).strip().splitlines()[0]}") from None
    table, width, layers = encoder.get_input_embeddings().weight, config.hidden_size, config.num_hidden_layers
    inner = next((size for key in ("intermediate_size", "hidden_dim") if (size := getattr(config, key, None))), 4 * width)
    positions = getattr(config, "max_position_embeddings", 0)
    shape = Shape(name, len(table), width, layers, config.num_attention_heads, inner, positions, 0)
    total = sum(parameter.numel() for parameter in encoder.parameters())
    beside = [
        parameter for part in encoder.modules() if isinstance(part, torch.nn.Embedding) for parameter in part.parameters()
    ]
    inside = total - sum(parameter.numel() for parameter in beside)
    matrices = sum(parameter.numel() for parameter in encoder.parameters() if parameter.dim() == 2)
    matrices -= sum(parameter.numel() for parameter in beside)
    return replace(shape, parameters=total, counted=(table.numel(), matrices, inside // layers))


def _from_hub(model: str) -> Any:
    from transformers.utils.hub import cached_file

    try:
        path = cached_file(model, "config.json", local_files_only=True)  # a plan asks no network
    except (OSError, ValueError):
        path = None
    if path is None:
        raise UserError(
            f"{model}: neither a folder, nor fetched, nor in the hub's cache; `xdist fetch "
            f"--model {model} --into ROOT` downloads "
            f"it to ROOT/models/{model}: plan that folder, or a run whose data.root is ROOT"
        )
    return read_json(Path(path))
