"""What the ranks do in tests of encoders that read dependency trees."""

from pathlib import Path

import torch
from distributed.plain_syntax import PlainSyntax
from resolved_of import data_of, prepared_of
from torch.nn.functional import cross_entropy

from xdist.config import load_run
from xdist.data.tokenizer import load_tokenizer
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.model.syntax.attached import reader_of


def gradient(path: str, overrides: list[str]) -> dict[str, torch.Tensor]:
    """The gradient of the first step by a plain PyTorch loop over rows: the mean over rows of cross-entropy, and of the losses
    of distances and depths times their weight."""
    run = load_run(Path(path), overrides)
    section = run.model.syntax
    assert section
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    made = data_of(run, preparation)
    reader = reader_of(load_encoder(run.model, tokenizer, torch.float32, run.seed))
    assert reader
    encoder = load_encoder(run.model.model_copy(update={"syntax": None}), tokenizer, torch.float32)
    model = Model(encoder, made.families, run.seed).train()
    names = {id(value): name for name, value in model.named_parameters()}
    plain = PlainSyntax(model, dict(reader.named_parameters()), section)
    draws = made.plan.step(0)
    for source, number in zip(draws.source.tolist(), draws.row.tolist(), strict=True):
        row = made.shards[source].row(number)
        hidden, distance, depth = plain.read(row)
        loss = cross_entropy(model.heads["cldr-topic"](hidden[:1]), torch.tensor([int(row["label"])]))
        ((loss + section.weight * (distance + depth)) / len(draws.row)).backward()
    found = {f"encoder.syntax.{name}": value for name, value in plain.weights.items()}
    found |= {names[id(value)]: value for value in model.parameters()}
    return {name: value.grad for name, value in found.items() if value.grad is not None}
