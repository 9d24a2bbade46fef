"""Any Hugging Face encoder whose input embedding can be hooked: XLM-R base to XXL, BERT, and their kin."""

import inspect
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import MODEL_MAPPING, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from xdist.config import Model as ModelSection
from xdist.errors import UserError
from xdist.model import segments
from xdist.model.backbone import check_tokenizer, load_config


def load_encoder(section: ModelSection, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype) -> PreTrainedModel:
    """The encoder without its pooler, as `section` wants it. Raises UserError for a folder without weights, for weights
    that do not fit the configuration, and for a tokenizer that does not fit the encoder."""
    backbone = section.backbone
    config = load_config(backbone)
    check_tokenizer(backbone, config, tokenizer)
    if section.dropout is not None:
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            if hasattr(config, name):
                setattr(config, name, section.dropout)
    try:
        kind: Any = MODEL_MAPPING[type(config)]
    except KeyError:
        raise UserError(f"{backbone}: model type '{config.model_type}' is not an encoder that xdist can load") from None
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # its report lists the dropped pooler and MLM head; what matters is checked here
    try:
        encoder, report = kind.from_pretrained(
            backbone,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            **without_pooler(kind),
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{backbone}: the weights cannot be loaded: {str(error).strip().splitlines()[0]}") from None
    finally:
        transformers_logging.set_verbosity(before)
    if report["missing_keys"]:
        first = sorted(report["missing_keys"])[0]
        raise UserError(f"{backbone}: {len(report['missing_keys'])} weights are missing, such as '{first}'")
    if section.freeze_embeddings:
        encoder.get_input_embeddings().requires_grad_(False)
    segments.enable(encoder, tokenizer)
    return encoder


def without_pooler(kind: Any) -> dict[str, bool]:
    """What a class of encoders is made with so that it has no pooler; nothing where it never has one."""
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind).parameters else {}
