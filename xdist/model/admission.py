"""What of a model folder is refused before anything is built from it. Needs no torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xdist.data.adapters import INDEX, PEFT_CONFIG, adapter_in, root_of
from xdist.errors import UserError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# What kinds of encoders call their sizes, and more than any has had.
SIZES = {
    **dict.fromkeys(("num_hidden_layers", "n_layers"), 1000),
    **dict.fromkeys(("hidden_size", "dim", "emb_dim", "embedding_size", "input_embedding_size"), 1 << 17),
    **dict.fromkeys(("intermediate_size", "hidden_dim"), 1 << 20),
    **dict.fromkeys(("num_attention_heads", "n_heads"), 1 << 12),
    **dict.fromkeys(("vocab_size", "n_words"), 1 << 26),
    "max_position_embeddings": 1 << 24,
}
ROWS, WIDTHS = ("vocab_size", "n_words"), ("embedding_size", "input_embedding_size", "hidden_size", "dim", "emb_dim")
# The ends of the names of tables, and what config.json calls their rows.
TABLES = {
    **dict.fromkeys(("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight"), ROWS),
    "position_embeddings.weight": ("max_position_embeddings",),
}
LAYERS, HEADS = ("num_hidden_layers", "n_layers"), ("num_attention_heads", "n_heads")


def check_files(folder: Path) -> None:
    """Raises UserError for a folder without configuration or weights, for weights that are cut or no safetensors, and for those
    that are pickled: their writer can run anything where they are read."""
    if not (folder / "config.json").is_file():
        if (folder / PEFT_CONFIG).is_file():
            hint = "give the model that it is based on as model.backbone, and this folder as model.adapter.folder"
            raise UserError(f"{folder}: holds an adapter alone: {hint}")
        raise UserError(f"{folder}: is not a model folder (no config.json)")
    if (folder / INDEX).is_file() and (adapter := adapter_in(folder)):
        _check_whole(adapter.weights)
        place, _ = root_of(str(folder))
        if Path(place).is_dir():
            check_files(Path(place))
        return
    if any((folder / name).is_file() for name in WEIGHTS):
        for file in sorted(folder.glob("*.safetensors")):
            _check_whole(file)
        return
    if pickled := next((name for name in PICKLED if (folder / name).is_file()), None):
        raise UserError(f"{folder}: its weights are pickled ({pickled}), which are not read: save the model as safetensors")
    raise UserError(f"{folder}: holds no weights (none of {', '.join(WEIGHTS)})")


def check_values(place: str, values: Mapping[str, Any], folder: Path | None = None) -> None:
    """Raises UserError for a config.json with these values whose encoder cannot be, or is not stored as xdist reads it: sizes
    out of bounds, more parameters than the weights in `folder` have bytes, tables of other rows, quantized weights."""
    if values.get("quantization_config") is not None:
        raise UserError(f"{place}: quantization_config: quantized weights are not read; save the model without")
    for name, most in SIZES.items():
        size = values.get(name)
        if size is not None and (type(size) is not int or not 1 <= size <= most):
            raise UserError(f"{place}: {name} in config.json is {size!r:.40}: expected an integer from 1 to {most}")
    width, heads = values.get("hidden_size"), _first_value(values, HEADS)
    if width and heads and width % heads and "head_dim" not in values:
        raise UserError(f"{place}: config.json: hidden_size {width} is no multiple of {heads} attention heads")
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder else 0
    narrow = min((values[name] for name in WIDTHS if values.get(name)), default=1)
    for what, count in (("rows", _first_value(values, ROWS)), ("layers", _first_value(values, LAYERS))):
        if stored and count * narrow > stored:
            raise UserError(
                f"{place}: config.json: {count} {what} of width {narrow} are more than the {stored} bytes of weights"
            )
    for name, shape in _shapes(folder).items() if folder else ():
        rows = _first_value(values, next((keys for end, keys in TABLES.items() if f".{name}".endswith(f".{end}")), ()))
        if rows and shape[:1] != [rows]:
            raise shape_error(place, name, shape, [rows, *shape[1:]])


def shape_error(place: str, name: str, there: Sequence[int], expected: Sequence[int]) -> UserError:
    """A weight of another shape than the configuration gives it."""
    shapes = [" x ".join(map(str, shape)) for shape in (there, expected)]
    return UserError(f"{place}: the weight '{name}' is {shapes[0]}, where config.json requires {shapes[1]}")


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Of the tensors in the weights of a folder."""
    headers = (_check_whole(file) for file in sorted(folder.glob("*.safetensors")))
    return {name: entry["shape"] for header in headers for name, entry in header.items() if name != "__metadata__"}


def _check_whole(file: Path) -> dict[str, Any]:
    """The header. A safetensors file begins with the length of a JSON object that says where each tensor ends."""
    if not file.is_file():
        raise UserError(f"{file}: the weights cannot be read: is no file")
    size = file.stat().st_size
    with file.open("rb") as stream:
        begin = stream.read(8)
        length = int.from_bytes(begin, "little")
        try:
            if len(begin) < 8 or not 2 <= length <= min(size - 8, 100_000_000):
                raise ValueError
            header = json.loads(stream.read(length))
            tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
            end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
            if not all(isinstance(tensor["shape"], list) for tensor in tensors):
                raise ValueError
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise UserError(
                f"{file}: the weights cannot be read: begins with {begin!r}, so it is no safetensors file"
            ) from None
    if size != 8 + length + end:
        raise UserError(f"{file}: the weights cannot be read: has {size} bytes instead of {8 + length + end}")
    return dict(header)


def _first_value(values: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return next((values[name] for name in names if values.get(name)), 0)
