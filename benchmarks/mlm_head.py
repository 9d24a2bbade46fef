"""Masked language modelling: logits at the masked positions alone against logits everywhere, as XLMRobertaForMaskedLM has them.

    python benchmarks/mlm_head.py                       # XLM-R base's shape; --layers, --hidden, --tokens make it smaller

One training pass (forward and backward) of each on the same random encoder and masks. The last line is one JSON object:
`time_ratio` and `memory_ratio` of all positions to masked positions alone, and the two losses, which are equal.
"""

import argparse
import json
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import XLMRobertaConfig, XLMRobertaModel

from xdist.model.model import Model
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
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
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
    model = Model(XLMRobertaModel(config, add_pooling_layer=False).to(dtype), {"mlm": family}, 1).to(device).train()
    batch = random_batch(options.tokens, options.length, options.vocabulary).to(device)

    def masked() -> torch.Tensor:
        (outputs,) = model(View(batch))
        return family.loss(outputs, batch)

    def everywhere() -> torch.Tensor:
        labels = torch.full_like(batch.tokens, -100)
        labels[batch.targets[MASKED]] = batch.targets[LABEL]
        return cross_entropy(model.heads["mlm"](model.hidden(batch)).float(), labels, ignore_index=-100, reduction="sum")

    found = {name: measured(model, way, options.repeats, device) for name, way in (("masked", masked), ("all", everywhere))}
    (masked_s, masked_bytes, masked_loss), (all_s, all_bytes, all_loss) = found["masked"], found["all"]
    print(f"{device.type} {dtype}: {options.tokens} tokens, {masked_s:.2f} s at masked positions, {all_s:.2f} s at all")
    print(
        json.dumps(
            {
                "time_ratio": round(all_s / masked_s, 2),
                "memory_ratio": round(all_bytes / masked_bytes, 2) if masked_bytes else None,
                "logits_ratio": round(options.tokens / len(batch.targets[MASKED]), 2),
                "loss_masked": round(masked_loss / len(batch.targets[LABEL]), 4),
                "loss_all": round(all_loss / len(batch.targets[LABEL]), 4),
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


def measured(model: Model, way: object, repeats: int, device: torch.device) -> tuple[float, int, float]:
    """Seconds of the fastest pass after the first, peak bytes beside the parameters (on a GPU; else 0), and the loss."""
    best, peak, value = float("inf"), 0, 0.0
    for number in range(repeats + 1):
        model.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
        begin = time.perf_counter()
        loss = way()  # type: ignore[operator]
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
            peak = torch.cuda.max_memory_allocated() - held
        value = float(loss)
        if number:
            best = min(best, time.perf_counter() - begin)
    return best, peak, value


if __name__ == "__main__":
    main()
