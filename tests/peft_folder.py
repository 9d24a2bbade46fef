"""A LoRA adapter as PEFT leaves it, with weights of which none is nothing."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from xdist.config.adapter import TARGETS
from xdist.model.adapters.attached import places_of


def peft_folder(folder: Path, encoder: PreTrainedModel, rank: int = 3, alpha: float = 6) -> Path:
    """Without PEFT: its two files, in addition to every matrix of every layer."""
    generator = torch.Generator().manual_seed(7)
    values = {}
    for place in places_of(encoder, TARGETS):
        matrix = encoder.get_submodule(place)
        sizes = {"lora_A": (rank, matrix.in_features), "lora_B": (matrix.out_features, rank)}
        for part, size in sizes.items():
            values[f"base_model.model.{place}.{part}.weight"] = 0.1 * torch.randn(size, generator=generator)
    folder.mkdir(parents=True)
    save_file(values, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": ["query"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": None}))
    return folder
