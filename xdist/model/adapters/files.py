"""Adapters as files: LoRA as PEFT writes and reads it, bottleneck adapters in our own form (xdist/data/adapters.py)."""

import logging
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from xdist.data.adapters import BELOW, INDEX, LANGUAGES, PEFT_CONFIG, AdapterFolder, adapter_in
from xdist.errors import UserError
from xdist.files import read_json, write_json
from xdist.model.adapters.attached import as_pattern, attach_adapter, embedded_width, ends_of
from xdist.model.adapters.held import INVERTIBLE, Attached, adapters_of, next_slot
from xdist.model.adapters.modules import Bottleneck, Invertible, Lora

log = logging.getLogger(__name__)
PREFIX = "base_model.model."  # what PEFT puts before the names of a model's modules
_OF_LORA = re.compile(rf"{re.escape(PREFIX)}(?P<place>.+)\.(?P<part>lora_[AB])(?:\.default)?\.weight")
# Of PEFT's options those that change what LoRA computes, with the value at which they change nothing.
PLAIN: Mapping[str, Any] = {
    "use_dora": False,
    "fan_in_fan_out": False,
    "lora_bias": False,
    "use_qalora": False,
    "trainable_token_indices": None,
    "layer_replication": None,
    "target_parameters": None,
    "alora_invocation_tokens": None,
    "use_bdlora": None,
    "bias": "none",
}


def write_adapter(
    folder: Path, adapter: Attached, state: Mapping[str, Tensor], encoder: PreTrainedModel, below: str, then: str
) -> None:
    """Write `adapter` into `folder`, with the weights that `state` has of it (by their names in the encoder), which
    belongs to the model at `below`, of digest `then`, and the language adapters that it was trained above."""
    adapters, places = adapters_of(encoder), adapter.modules
    described: dict[str, Any] = {"kind": adapter.kind, BELOW: below, "digest": then, "fallback": adapters.fallback}
    values = {name: state[_name(adapter, name, encoder)].contiguous() for name in adapter.parameters()}
    if not adapter.modules:
        described["rank"] = 0
    elif adapter.kind == "lora":
        config = peft_config(adapter, encoder, below)
        described |= {key: config[key] for key in ("r", "lora_alpha", "rank_pattern", "alpha_pattern")}
        write_json(folder / PEFT_CONFIG, config)
        values = {f"{PREFIX}{name}.weight": value for name, value in values.items()}
    else:
        described["rank"] = next((part.down.out_features for part in places.values() if isinstance(part, Bottleneck)), 0)
    write_json(folder / INDEX, described)
    save_file(values, AdapterFolder(folder, adapter.kind, below).weights)
    for language_adapter in adapters.languages:  # the last of a language takes the place of those before
        if (
            language_adapter.language
            and language_adapter.source
            and adapters.speaker(language_adapter.language) is language_adapter
        ):
            to = folder / LANGUAGES / language_adapter.language
            to.mkdir(parents=True)
            for file in (language_adapter.source / INDEX, AdapterFolder(language_adapter.source, "bottleneck", "").weights):
                shutil.copyfile(file, to / file.name)


def _name(adapter: Attached, name: str, encoder: PreTrainedModel) -> str:
    """What the encoder calls the parameter that the adapter calls `<place>.<parameter>`."""
    place = next(place for place in sorted(adapter.modules, key=len, reverse=True) if name.startswith(f"{place}."))
    at = _embedding_name(encoder) if place == INVERTIBLE else place
    return f"{at}.{adapter.slot}.{name.removeprefix(f'{place}.')}"


def _embedding_name(encoder: PreTrainedModel) -> str:
    table = encoder.get_input_embeddings()
    embedding: str = next(name for name, part in encoder.named_modules() if part is table)
    return embedding


def peft_config(adapter: Attached, encoder: nn.Module, below: str) -> dict[str, Any]:
    """adapter_config.json of PEFT for a LoRA adapter."""
    modules = {place: part for place, part in adapter.modules.items() if isinstance(part, Lora)}
    ranks = {place: part.rank for place, part in modules.items()}
    alphas = {place: _as_peft_number(part.scale * part.rank) for place, part in modules.items()}
    rank, alpha = (Counter(many.values()).most_common(1)[0][0] for many in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": below,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": next(iter(modules.values())).dropout.p,
        "rank_pattern": {place: value for place, value in ranks.items() if value != rank},
        "alpha_pattern": {place: value for place, value in alphas.items() if value != alpha},
        "target_modules": _targets(list(modules), encoder),
        "bias": "none",
        "fan_in_fan_out": False,
        "modules_to_save": None,
        "use_rslora": False,
        "use_dora": False,
    }


def _as_peft_number(number: float) -> float | int:
    """As PEFT has most: without a point where it is an integer; rounded, since it was divided by the rank."""
    rounded = round(number, 9)
    return int(rounded) if rounded == int(rounded) else rounded


def _targets(places: list[str], encoder: nn.Module) -> str | list[str]:
    """One expression for the matrices of every layer, else the names."""
    stars = dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.)|(?<=\.)\d+$", "*", place) for place in places)
    inner = "|".join(as_pattern(star) for star in stars)
    every = [name for name, part in encoder.named_modules() if re.fullmatch(inner, name) and isinstance(part, nn.Linear)]
    return rf"(?:.*\.)?(?:{inner})" if sorted(every) == sorted(places) else places


def read_adapter(
    folder: AdapterFolder, encoder: PreTrainedModel, *, trained: bool = False, dropout: float = 0.0, language: str | None = None
) -> Attached:
    """Attach to `encoder` the adapter of a folder. Raises UserError for files that are damaged, or do not fit it."""
    values = load_weights(folder)
    if folder.empty:
        return attach_adapter(encoder, Attached(folder.kind, {}, next_slot(encoder), language, trained, folder.folder))
    modules = (
        _lora(folder, values, encoder, dropout) if folder.kind == "lora" else _bottleneck(folder, values, encoder, dropout)
    )
    return attach_adapter(encoder, Attached(folder.kind, modules, next_slot(encoder), language, trained, folder.folder))


def read_below(adapter_folder: AdapterFolder, encoder: PreTrainedModel) -> None:
    """Attach the adapter of a model folder, frozen, and the language adapters that it was trained above. Raises UserError."""
    adapters = adapters_of(encoder)
    for code, folder in adapter_folder.languages.items():
        if (one := adapter_in(folder)) is not None:
            read_adapter(one, encoder, language=code)
    adapters.fallback = adapter_folder.options.get("fallback") or adapters.fallback
    read_adapter(adapter_folder, encoder)


def load_weights(folder: AdapterFolder) -> dict[str, Tensor]:
    if not folder.weights.is_file():
        raise UserError(f"{folder.folder}: holds no {folder.weights.name}; pickled adapters are not read")
    try:
        values = load_file(folder.weights)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder.weights}: cannot be read: {str(error).strip().splitlines()[0]}") from None
    for name, value in values.items():
        if not bool(value.isfinite().all()):
            raise UserError(f"{folder.weights}: the weight '{name}' holds numbers that are not finite")
    return values


def _lora(
    folder: AdapterFolder, values: Mapping[str, Tensor], encoder: PreTrainedModel, dropout: float
) -> dict[str, nn.Module]:
    config = read_json(folder.folder / PEFT_CONFIG)
    if odd := next((key for key, plain in PLAIN.items() if config.get(key, plain) not in (plain, None)), None):
        raise UserError(f"{folder.folder / PEFT_CONFIG}: {odd} is {config[odd]!r:.40}, of which xdist computes nothing")
    matrices = {name: part for name, part in encoder.named_modules() if isinstance(part, nn.Linear)}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in values.items():
        if fits := _OF_LORA.fullmatch(name):
            parts.setdefault(_place(folder, fits["place"], matrices), {})[fits["part"]] = value
        elif ".lora_" in name:
            raise UserError(f"{folder.weights}: '{name}' belongs to no matrix of the layers, and is not read")
    if not parts:
        raise UserError(f"{folder.weights}: holds no weights of LoRA")
    if left := sorted(name.removeprefix(PREFIX) for name in values if ".lora_" not in name):
        log.info("%s: not loaded: %s", folder.folder, ", ".join(left))
    return {place: _fill_lora(folder, place, both, matrices[place], config, dropout) for place, both in parts.items()}


def _place(folder: AdapterFolder, name: str, matrices: Mapping[str, nn.Module]) -> str:
    """The matrix of the encoder that PEFT calls `name`, of a model that has the encoder inside."""
    path = name.split(".")
    for start in range(len(path)):
        if (place := ".".join(path[start:])) in matrices:
            return place
    raise UserError(f"{folder.weights}: belongs to '{name}', which is no matrix of this encoder: is it for another model?")


def _fill_lora(
    folder: AdapterFolder, place: str, both: Mapping[str, Tensor], matrix: Any, config: Mapping[str, Any], dropout: float
) -> Lora:
    try:
        a, b = both["lora_A"], both["lora_B"]
        rank, fits = len(a), a.shape[1] == matrix.in_features and b.shape == (matrix.out_features, len(a))
    except (KeyError, IndexError, TypeError):
        rank, fits = 0, False
    if not fits:
        raise UserError(f"{folder.weights}: the weight of '{place}' has other sizes than the matrix: is it for another model?")
    alpha = next(
        (value for key, value in (config.get("alpha_pattern") or {}).items() if re.fullmatch(rf"(?:.*\.)?(?:{key})", place)),
        config.get("lora_alpha", 8),
    )
    module = Lora(
        matrix.in_features, matrix.out_features, rank, alpha / (rank**0.5 if config.get("use_rslora") else rank), dropout
    )
    module.load_state_dict({"lora_A": a.float(), "lora_B": b.float()})
    return module


def _bottleneck(
    folder: AdapterFolder, values: Mapping[str, Tensor], encoder: PreTrainedModel, dropout: float
) -> dict[str, nn.Module]:
    modules: dict[str, nn.Module] = {}
    with torch.random.fork_rng(devices=[]):  # what a new module draws is no part of the run
        for place in [*ends_of(encoder), INVERTIBLE]:
            own = {name.removeprefix(f"{place}."): value for name, value in values.items() if name.startswith(f"{place}.")}
            if place == INVERTIBLE and not own:
                continue
            try:
                width, rank = encoder.config.hidden_size, len(own.get("down.bias", ()))
                module = Invertible(embedded_width(encoder)) if place == INVERTIBLE else Bottleneck(width, rank, dropout)
                module.load_state_dict(own)
            except RuntimeError as error:
                raise UserError(f"{folder.weights}: does not fit the encoder: {str(error).splitlines()[-1].strip()}") from None
            modules[place] = module
    return modules
