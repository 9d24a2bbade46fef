"""A tiny random model of transformers' own class for a task, with its tokenizer, as if it had been fine-tuned elsewhere."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel

from xdist.config import Model as ModelSection
from xdist.data.tokenizer import load_tokenizer
from xdist.model.encoder import load_encoder
from xdist.model.finetuned import CLASSES
from xdist.model.model import Model
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of


def tiny_finetuned(folder: Path, family: str, labels: Sequence[str] = (), **saving: Any) -> PreTrainedModel:
    """Give the encoder in `folder` a random head of the family and save both there; `labels` are the names of its outputs."""
    config = AutoConfig.from_pretrained(folder)
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(17)
        model = getattr(transformers, f"AutoModel{CLASSES[family]}").from_pretrained(folder, config=config).eval()
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and not name.startswith(f"{model.base_model_prefix}.e"):  # biases of the head begin as zero
                torch.nn.init.normal_(parameter, std=0.2)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, **saving)
    return model


def shuffled(name: str) -> list[str]:
    """The labels of a task in another order than its own; empty where it has none."""
    labels = list(task(name).labels)
    random.Random(3).shuffle(labels)
    return labels


def model_of(folder: Path, *names: str) -> Model:
    """The encoder in `folder` with fresh heads for these tasks."""
    encoder = load_encoder(ModelSection(backbone=str(folder)), load_tokenizer(str(folder)), torch.float32)
    return Model(encoder, {task(name).head: family_of(task(name)) for name in names}, 1).eval()
