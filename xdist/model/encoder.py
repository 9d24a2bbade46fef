"""Loading an encoder of a kind that is described in xdist/model/kinds.py: XLM-R base to XXL, mBERT, mmBERT, and others."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import MODEL_MAPPING, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from xdist.config import Model as ModelSection
from xdist.data.adapters import adapter_in, root_of
from xdist.data.branches import BranchIndex, branches_in
from xdist.errors import OwnError, UserError
from xdist.model import branches, segments
from xdist.model.adapters import attached, files
from xdist.model.adapters.held import adapters_of
from xdist.model.admission import shape_error
from xdist.model.backbone import check_tokenizer, load_config
from xdist.model.kinds import kind_of
from xdist.model.layers import check_frozen, depth_of
from xdist.model.syntax import files as syntax_files


def load_encoder(
    section: ModelSection, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype, seed: int | None = None
) -> PreTrainedModel:
    """The encoder without its pooler, as `section` wants it, with the adapters, branches or reader of trees that it has; those
    that are to be trained begin where a `seed` is given. Raises UserError for a folder without weights, for weights that do not
    fit the configuration or are not finite, and for a tokenizer that does not fit the encoder."""
    backbone, below = root_of(section.backbone)
    config = load_config(section.backbone)
    check_tokenizer(backbone, config, tokenizer)
    set_dropout(config, section)
    kind: Any = MODEL_MAPPING[type(config)]
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # its report lists the dropped pooler and MLM head; what matters is checked here
    try:
        encoder, report = kind.from_pretrained(
            backbone,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported below, by name: otherwise the error points to the report that is off
            **without_pooler(kind),
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{backbone}: the weights cannot be loaded: {str(error).strip().splitlines()[0]}") from None
    finally:
        transformers_logging.set_verbosity(before)
    if report["mismatched_keys"]:
        name, there, expected = min(report["mismatched_keys"], key=str)
        raise shape_error(backbone, name, there, expected)
    if report["missing_keys"]:
        first = sorted(report["missing_keys"])[0]
        raise UserError(f"{backbone}: {len(report['missing_keys'])} weights are missing, such as '{first}'")
    check_finite(backbone, encoder.state_dict())
    freeze(encoder, section)
    segments.enable_segments(encoder, tokenizer)
    if index := branches_in(backbone):
        branches.read_branches(encoder, index, Path(backbone))
    elif section.branches is not None and section.branches.languages and seed is not None:
        branches.begin_branches(encoder, BranchIndex(section.branches.layers, section.branches.languages))
    for folder in below:
        files.read_below(folder, encoder)
    if section.adapter is not None:
        _adapt(encoder, section, seed)
    elif seed is not None and any(one.kind != "lora" for one in adapters_of(encoder).adapters):
        raise section.error(("backbone",), f"{section.backbone}: is an adapter that cannot be merged: train with model.adapter")
    syntax_files.join_reader(encoder, backbone, section.syntax, seed)
    assert isinstance(encoder, PreTrainedModel)
    return encoder


def freeze(encoder: PreTrainedModel, section: ModelSection) -> None:
    """What `section` leaves unchanged gets no gradient. Raises UserError for layers that the encoder has not, or that share
    their weights."""
    if section.freeze_embeddings:
        encoder.get_input_embeddings().requires_grad_(False)
    if not section.frozen_layers:
        return
    kind = kind_of(encoder.config)
    check_frozen(section, kind, encoder.config.model_type, encoder.config.num_hidden_layers, heads=True)
    for name, parameter in encoder.named_parameters():
        if (at := depth_of(name, kind)) is not None and at <= section.frozen_layers:
            parameter.requires_grad_(False)


def _adapt(encoder: PreTrainedModel, section: ModelSection, seed: int | None) -> None:
    """Freeze the encoder, and give it the adapters that `section` names."""
    encoder.requires_grad_(False)
    adapter = section.adapter
    assert adapter is not None
    for code, one in adapter.languages.items():
        if (found := adapter_in(one.model or "")) is None or found.kind != "bottleneck":
            raise section.error(("adapter", "languages", code), f"{one.model}: holds no bottleneck adapter")
        files.read_adapter(found, encoder, language=code)
    adapters_of(encoder).fallback = adapter.fallback or adapters_of(encoder).fallback
    if adapter.folder is not None:
        if (found := adapter_in(adapter.folder)) is None:
            raise section.error(("adapter", "folder"), f"{adapter.folder}: holds no adapter")
        files.read_adapter(found, encoder, trained=seed is not None, dropout=adapter.dropout if seed is not None else 0.0)
    elif seed is not None:
        attached.begin_adapter(encoder, adapter, seed)


def check_finite(place: object, weights: Mapping[str, Tensor]) -> None:
    """Raises UserError for weights that are not finite: every loss would be none, and every prediction the same. Where ZeRO 3
    has given each rank a part of them, the rank that has such a part says so."""
    for name, weight in weights.items():
        part: Tensor = getattr(weight, "ds_tensor", weight)
        if part.is_floating_point() and not bool(part.isfinite().all()):
            kind = UserError if part is weight else OwnError
            raise kind(f"{place}: the weight '{name}' holds numbers that are not finite; the model is damaged or diverged")


def set_dropout(config: PretrainedConfig, section: ModelSection) -> None:
    """Give the configuration the dropout that `section` sets; what it says nothing of stays the checkpoint's."""
    kind = kind_of(config)
    if section.dropout is not None:
        for name in kind.dropouts:
            setattr(config, name, section.dropout)
    if section.attention_dropout is not None:
        setattr(config, kind.attention_dropout, section.attention_dropout)


def without_pooler(kind: Any) -> dict[str, bool]:
    """What a class of encoders is made with so that it has no pooler; nothing where it never has one."""
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind).parameters else {}
