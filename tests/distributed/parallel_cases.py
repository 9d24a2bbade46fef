"""Alignment and distillation by plain PyTorch loops: what ranks are compared with."""

from pathlib import Path

import torch
from resolved_of import data_of, prepared_of
from torch.nn.functional import cross_entropy, normalize

from xdist.config import Model as ModelSection
from xdist.config import load_run
from xdist.data.batches import collate
from xdist.data.tokenizer import load_tokenizer
from xdist.evaluation.loading import load_for_evaluation
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.tasks.batch import View


def plain_gradient(path: str, overrides: list[str]) -> dict[str, torch.Tensor]:
    """Of the first step of a run on parallel text; reads the plan alone, for which rows that step has."""
    run = load_run(Path(path), overrides)
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    made = data_of(run, preparation)
    encoder = load_encoder(run.model, tokenizer, torch.float32).train()
    draws, vectors = made.plan.step(0), []
    for source, number in zip(draws.source.tolist(), draws.row.tolist(), strict=True):
        row = made.shards[source].row(number)
        first = int(row["lengths"][0])
        for ids in (row["tokens"][:first], row["tokens"][first:]):
            states = encoder(input_ids=torch.tensor([list(map(int, ids))])).last_hidden_state
            vectors.append(states[0].mean(0))
    foreign, english = torch.stack(vectors[0::2]), torch.stack(vectors[1::2])
    assert run.train
    loss, size = torch.zeros(()), run.train.negatives or 0
    if run.train.parallel.loss == "l2":
        loss = ((foreign - english) ** 2).sum()
    else:
        for low in range(0, len(foreign), size):
            x, y = normalize(foreign[low : low + size], dim=-1), normalize(english[low : low + size], dim=-1)
            logits = x @ y.T / run.train.parallel.tempered
            right = torch.arange(len(logits))
            loss = loss + sum(cross_entropy(one, right, reduction="sum") for one in (logits, logits.T)) / 2
    (loss / len(foreign)).backward()
    return {f"encoder.{name}": one.grad for name, one in encoder.named_parameters() if one.grad is not None}


def realigned_gradient(path: str, overrides: list[str]) -> dict[str, torch.Tensor]:
    """Of the first step of a run on words that a dictionary links, each the sum of its pieces; the texts themselves are looked
    up, and the plan alone is read."""
    run = load_run(Path(path), overrides)
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    made = data_of(run, preparation)
    encoder = load_encoder(run.model, tokenizer, torch.float32).train()
    assert run.train
    how, draws = run.train.parallel, made.plan.step(0)
    folder, size, losses = Path(str(how.dictionaries)), run.train.negatives or 0, []
    for low in range(0, len(draws.row), size):
        vectors: list[list[torch.Tensor]] = [[], []]
        for source, number in list(zip(draws.source.tolist(), draws.row.tolist(), strict=True))[low : low + size]:
            code = made.subsets[source].language
            lines = (run.data.root / "parallel" / f"{code}-en.tsv").read_text().splitlines()
            texts = lines[number].split("\t")
            known = {word for word in texts[0].split() if tokenizer.unk_token_id not in tokenizer(word)["input_ids"]}
            entries = [line.split("\t") for line in (folder / f"en-{code}.txt").read_text().splitlines()]
            states = [encoder(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in texts]
            words = [tokenizer(text).word_ids() for text in texts]
            for english, foreign in entries:
                if foreign in known and english in texts[1].split():
                    for side, word in enumerate((foreign, english)):
                        at = texts[side].split().index(word)
                        pieces = [place for place, index in enumerate(words[side]) if index == at]
                        vectors[side].append(states[side][pieces].sum(0))
        z = normalize(torch.stack(vectors[0] + vectors[1]), dim=-1)
        logits = (z @ z.T / how.tempered).fill_diagonal_(-torch.inf)
        losses += [cross_entropy(logits, torch.arange(len(z)).roll(len(z) // 2), reduction="none")]
    torch.cat(losses).mean().backward()
    return {f"encoder.{name}": one.grad for name, one in encoder.named_parameters() if one.grad is not None}


def distilled_gradient(path: str, overrides: list[str]) -> dict[str, torch.Tensor]:
    """Of the first step of a run that learns from a teacher, row by row; both read the rows themselves."""
    run = load_run(Path(path), overrides)
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    made = data_of(run, preparation)
    assert run.train
    assert run.train.distil
    how, family = run.train.distil, made.families["cldr-topic"]
    student = Model(load_encoder(run.model, tokenizer, torch.float32), made.families, run.seed).train()
    teacher = load_for_evaluation(ModelSection(backbone=how.teacher), tokenizer, made.subsets, torch.float32)
    draws = made.plan.step(0)
    for source, number in zip(draws.source.tolist(), draws.row.tolist(), strict=True):
        row = made.shards[source].row(number)
        view = View(collate([row], [0], family))
        (logits,), (said,) = student(view), teacher(view)
        p, q = (said.detach() / how.temperature).softmax(-1), (logits / how.temperature).log_softmax(-1)
        loss = (1 - how.weight) * cross_entropy(logits, torch.tensor([int(row["label"])]))
        loss = loss + how.weight * how.temperature**2 * (p * (p.log() - q)).sum()
        (loss / len(draws.row)).backward()
    return {name: one.grad for name, one in student.named_parameters() if one.grad is not None}
