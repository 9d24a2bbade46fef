"""Any Hugging Face encoder whose input embedding can be hooked: XLM-R base to XXL, BERT, and their kin."""

import inspect
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import MODEL_MAPPING, AutoConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from xdist.config import Model as ModelSection
from xdist.config import Run
from xdist.data.tokenizer import check_place, not_loaded
from xdist.errors import UserError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def load_config(backbone: str) -> PretrainedConfig:
    """The configuration of a folder or hub id, without its weights. Raises UserError."""
    check_place(backbone)
    folder = Path(backbone)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder}: is not a model folder (no config.json)")
        if not any((folder / name).is_file() for name in WEIGHTS):
            raise UserError(f"{folder}: holds no weights (none of {', '.join(WEIGHTS)})")
    try:
        return AutoConfig.from_pretrained(backbone)
    except (OSError, ValueError) as error:
        raise not_loaded(backbone, "", error) from None


def check_vocabulary(backbone: str, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises UserError when the tokenizer can produce an id that the embedding has no row for."""
    rows = config.vocab_size
    largest = max(tokenizer.get_vocab().values())
    if largest >= rows:
        raise UserError(f"{backbone}: the tokenizer's ids reach {largest}, the encoder's embedding has {rows} rows")
    if config.pad_token_id is not None and tokenizer.pad_token_id != config.pad_token_id:
        raise UserError(
            f"{backbone}: the tokenizer pads with id {tokenizer.pad_token_id}, the encoder expects {config.pad_token_id}"
        )


def check_layer(run: Run, backbone: str, config: PretrainedConfig) -> None:
    """Raises UserError when the run is to be evaluated on a layer that the encoder has not."""
    if run.evaluate and run.evaluate.layer is not None and run.evaluate.layer > config.num_hidden_layers:
        message = f"there is no layer {run.evaluate.layer}: {backbone} has {config.num_hidden_layers}"
        raise run.error(("evaluate", "layer"), message)


def load_encoder(section: ModelSection, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype) -> PreTrainedModel:
    """The encoder without its pooler, as `section` wants it. Raises UserError for a folder without weights, for weights
    that do not fit the configuration, and for a tokenizer that disagrees with the vocabulary."""
    backbone = section.backbone
    config = load_config(backbone)
    check_vocabulary(backbone, config, tokenizer)
    if section.dropout is not None:
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            if hasattr(config, name):
                setattr(config, name, section.dropout)
    try:
        kind: Any = MODEL_MAPPING[type(config)]
    except KeyError:
        raise UserError(f"{backbone}: model type '{config.model_type}' is not an encoder that xdist can load") from None
    poolerless = "add_pooling_layer" in inspect.signature(kind).parameters
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # its report lists the dropped pooler and MLM head; what matters is checked here
    try:
        encoder, report = kind.from_pretrained(
            backbone,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            **({"add_pooling_layer": False} if poolerless else {}),
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
    return encoder
