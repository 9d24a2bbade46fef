"""What the ranks do in tests of adapters."""

from pathlib import Path
from typing import Any

import torch
from distributed.plain_robust import PlainRow
from resolved_of import data_of, prepared_of
from torch import Tensor, nn
from torch.nn.utils import parametrize

from xdist.config import load_run
from xdist.data.batches import row_id
from xdist.data.tokenizer import load_tokenizer
from xdist.model.adapters.held import trained_of
from xdist.model.encoder import load_encoder
from xdist.model.model import Model


class _Adapted(nn.Module):
    """A frozen matrix as W + scale · B A, in one product."""

    def __init__(self, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> None:
        super().__init__()
        self.weight, self.scale = weight.detach(), scale
        self.lora_A, self.lora_B = nn.Parameter(a.detach().clone()), nn.Parameter(b.detach().clone())

    def forward(self, _weight: Tensor) -> Tensor:
        return self.weight + self.scale * self.lora_B @ self.lora_A


def gradient(path: str, overrides: list[str]) -> dict[str, torch.Tensor]:
    """The gradient of the first step by a plain PyTorch loop over rows, through matrices that LoRA was multiplied into."""
    run = load_run(Path(path), overrides)
    assert run.model.adapter
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    made = data_of(run, preparation)
    plain = run.model.model_copy(update={"adapter": None})
    adapted = load_encoder(run.model, tokenizer, torch.float32, run.seed)
    encoder = load_encoder(plain, tokenizer, torch.float32).requires_grad_(False)
    found: dict[str, Any] = {}
    for place, module in trained_of(adapted).modules.items():
        matrix = encoder.get_submodule(place)
        own = _Adapted(matrix.weight, module.lora_A, module.lora_B, module.scale)
        parametrize.register_parametrization(matrix, "weight", own)
        found |= {f"encoder.{place}.adapter_0.{part}": getattr(own, part) for part in ("lora_A", "lora_B")}
    model = Model(encoder, made.families, run.seed).train()
    found |= {f"heads.{name}": value for name, value in model.heads.named_parameters()}
    draws = made.plan.step(0)
    special = torch.tensor(sorted(tokenizer.all_special_ids))
    for source, number in zip(draws.source.tolist(), draws.row.tolist(), strict=True):
        row = PlainRow(model, "cldr-topic", made.shards[source].row(number), row_id(source, number), special, run.seed)
        for loss in row.losses(run.methods):
            (loss / len(draws.row)).backward()
    return {name: value.grad for name, value in found.items()}
