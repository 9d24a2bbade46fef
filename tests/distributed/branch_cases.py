"""A step of branches by a plain PyTorch loop over rows: what ranks are compared with."""

from pathlib import Path
from typing import Any

import torch
from resolved_of import data_of, prepared_of
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from xdist.config import Model as ModelSection
from xdist.config import load_run
from xdist.data.batches import row_id
from xdist.data.branches import is_branch_weight
from xdist.data.tokenizer import load_tokenizer
from xdist.evaluation.loading import load_for_evaluation
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads
from xdist.model.model import Model
from xdist.robust.noise import uniform
from xdist.tasks.batch import Batch


def gradient(path: str, overrides: list[str], languages: list[str]) -> dict[str, torch.Tensor]:
    """Of the first step of a run whose backbone has branches of `languages`. Each branch is a separate plain encoder, whose
    lower layers are those of all; a row is read by one sequence at a time, and only the random numbers are xdist's."""
    run = load_run(Path(path), overrides)
    assert run.train
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    made, how = data_of(run, preparation), run.train.distil
    student = Model(load_encoder(run.model, tokenizer, torch.float32), made.families, run.seed).train()
    carry_heads(run.model.backbone, student)
    teachers: dict[str, Any] = {}
    for code, one in (how.languages if how else {}).items():
        section = ModelSection(backbone=str(one.model))
        teachers[code] = load_for_evaluation(section, tokenizer, made.subsets, torch.float32)
    named = dict(student.encoder.named_parameters())
    plain = load_encoder(
        ModelSection(backbone=str(Path(path).parent / "encoder"), dropout=0.0), tokenizer, torch.float32
    ).train()

    def branch(number: int, ids: Tensor) -> Tensor:
        """(d,) of the first token."""
        values = {name: value for name, value in named.items() if not is_branch_weight(name)}
        own = f".branch_{number}."
        values |= {name.replace(own, "."): value for name, value in named.items() if own in name}
        return functional_call(plain, values, kwargs={"input_ids": ids}).last_hidden_state[0, 0]

    def loss(hidden: Tensor, row: Any, code: str, ids: Tensor) -> Tensor:
        logits = student.heads["cldr-topic"](hidden[None])
        found = cross_entropy(logits, torch.tensor([int(row["label"])]))
        if how is None:
            return found
        with torch.no_grad():
            teacher = teachers[code]
            said = teacher.heads["cldr-topic"](teacher.encoder(input_ids=ids).last_hidden_state[:, 0])
        p, q = (said / how.temperature).softmax(-1), (logits / how.temperature).log_softmax(-1)
        return found + how.weight * how.temperature**2 * (p * (p.log() - q)).sum()

    draws = made.plan.step(0)
    for source, number in zip(draws.source.tolist(), draws.row.tolist(), strict=True):
        row, code = made.shards[source].row(number), made.subsets[source].language
        ids, own = torch.tensor(row["tokens"])[None].long(), languages.index(code)
        states = torch.stack([branch(at, ids) for at in range(len(languages))])
        whole = loss(states[own], row, code, ids)
        for method in run.methods:
            place = torch.tensor([row_id(source, number)])
            alone = Batch("head", ids[0], torch.tensor([ids.shape[1]]), torch.tensor([0]), place)
            *drawn, coin = uniform(alone, len(languages) + 1, run.seed, 0, 0)[0].tolist()
            weights = -torch.log1p(-torch.tensor(drawn))
            weights[own] *= coin >= method.drop
            mixed = (weights[:, None] * states).sum(0) / weights.sum()
            whole = whole + method.weight * loss(mixed, row, code, ids)
        (whole / len(draws.row)).backward()
    return {name: one.grad for name, one in student.named_parameters() if one.grad is not None}
