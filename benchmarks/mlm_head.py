"""Masked language modelling: logits at the masked positions alone against logits everywhere, as XLMRobertaForMaskedLM (and so
Trainer) has them, and against those over the pieces that occur in the texts (`train.mlm.softmax: active`).

    python benchmarks/mlm_head.py                       # XLM-R base's shape; --layers, --hidden, --tokens make it smaller

One training pass (forward, backward and, with --update, a fused update) of each on the same random encoder and masks, in turn.
The last line is one JSON object: `time_ratio` and `memory_ratio` of all positions to masked positions alone, and two losses,
which are equal; `active_ratio` of every piece to the --active ones, and `active_all_ratio` of all positions to these.
"""

import argparse
import json
import time
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import XLMRobertaConfig, XLMRobertaModel

from xdist.model.model import Model
from xdist.model.vocabulary import activate_rows
from xdist.tasks.batch import Batch, View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of
from xdist.tasks.mlm import LABEL, MASKED

RATE = 0.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {
        "layers": 12,
        "hidden": 768,
        "vocabulary": 250_002,
        "length": 256,
        "tokens": 2048,
        "repeats": 3,
        "active": 20_000,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--update", action="store_true", help="an update of AdamW is part of the pass")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=options.vocabulary,
        num_hidden_layers=options.layers,
        hidden_size=options.hidden,
        num_attention_heads=options.hidden // 64,
        intermediate_size=4 * options.hidden,
        max_position_embeddings=options.length + 2,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    family = family_of(task("mlm"))
    encoder = XLMRobertaModel(config, add_pooling_layer=False).to(dtype)
    pieces = torch.arange(min(options.active, options.vocabulary))
    few = deepcopy(encoder)
    activate_rows(few, pieces)
    model, active = (Model(one, {"mlm": family}, 1).to(device).train() for one in (encoder, few))
    active.heads["mlm"].restrict(active.embedding.active)
    # Of the active ones alone, so that all sides see the same tokens; there they are numbered as they are in the vocabulary.
    batch = random_batch(options.tokens, options.length, len(pieces)).to(device)

    def masked(made: Model) -> torch.Tensor:
        (outputs,) = made(View(batch))
        return family.loss(outputs, batch)

    def everywhere(made: Model) -> torch.Tensor:
        labels = torch.full_like(batch.tokens, -100)
        labels[batch.targets[MASKED]] = batch.targets[LABEL]
        return cross_entropy(made.heads["mlm"](made.hidden(batch)).float(), labels, ignore_index=-100, reduction="sum")

    sides = {
        "masked": Side(model, masked, options.update),
        "all": Side(model, everywhere, options.update),
        "active": Side(active, masked, options.update),
    }
    for number in range(options.repeats + 1):
        for side in sides.values():
            side.once(device, count=number > 0)
    one, every, few_pieces = sides.values()
    print(
        f"{device.type} {dtype}: {options.tokens} tokens, {one.best:.2f} s at masked positions, {every.best:.2f} s at all, "
        f"{few_pieces.best:.2f} s over {len(pieces):,} pieces"
    )
    count = len(batch.targets[LABEL])
    print(
        json.dumps(
            {
                "time_ratio": round(every.best / one.best, 2),
                "memory_ratio": round(every.peak / one.peak, 2) if one.peak else None,
                "logits_ratio": round(options.tokens / count, 2),
                "loss_masked": round(one.value / count, 4),
                "loss_all": round(every.value / count, 4),
                "active_ratio": round(one.best / few_pieces.best, 2),
                "active_all_ratio": round(every.best / few_pieces.best, 2),
            }
        )
    )


def random_batch(tokens: int, length: int, vocabulary: int) -> Batch:
    draw = np.random.default_rng(0)
    rows = tokens // length
    ids = torch.from_numpy(draw.integers(4, vocabulary - 1, rows * length))
    masked = torch.from_numpy(np.flatnonzero(draw.random(rows * length) < RATE))
    return Batch(
        head="mlm",
        tokens=ids,
        lengths=torch.full((rows,), length),
        sequence_row=torch.arange(rows),
        row_ids=torch.arange(rows),
        targets={MASKED: masked, LABEL: ids[masked].clone()},
    )


class Side:
    """`best`: seconds of the fastest pass after the first; `peak`: bytes in addition to the parameters (on a GPU; else 0);
    `value`: the loss of the first."""

    def __init__(self, model: Model, way: Callable[[Model], torch.Tensor], update: bool) -> None:
        self.model, self.way = model, way
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-9, fused=True) if update else None
        self.best, self.peak, self.value = float("inf"), 0, float("nan")

    def once(self, device: torch.device, count: bool) -> None:
        self.model.zero_grad(set_to_none=True)
        held = 0
        if device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
        began = time.perf_counter()
        loss = self.way(self.model)
        loss.backward()
        if self.optimizer:
            self.optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
            self.peak = torch.cuda.max_memory_allocated() - held
        if count:
            self.best = min(self.best, time.perf_counter() - began)
        else:
            self.value = float(loss.detach())
        self.model.zero_grad(set_to_none=True)


if __name__ == "__main__":
    main()
