"""The other side of train_speed.py: Hugging Face's Trainer with DeepSpeed, its defaults except for what both sides share.

Run as a script on the ranks that xdist starts it is what a user would write for PAWS-X: read, tokenise, train, and note when
the first step is done.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

DEEPSPEED = {
    "zero_optimization": {"stage": 2},
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "bf16": {"enabled": "auto"},
    "zero_allow_untested_optimizer": True,
}
RATE = 2e-5
RADIUS = 0.05
# model class, collator, and from a prepared row to what Trainer gets
KINDS: dict[str, tuple[Any, Any, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "classification": (AutoModelForSequenceClassification, DataCollatorWithPadding, lambda row: {"labels": int(row["label"])}),
    "tagging": (AutoModelForTokenClassification, DataCollatorForTokenClassification, lambda row: {"labels": _tags(row)}),
    "span-qa": (
        AutoModelForQuestionAnswering,
        DataCollatorWithPadding,
        lambda row: {"start_positions": int(row["start"]), "end_positions": int(row["end"])},
    ),
    "masked-lm": (AutoModelForMaskedLM, DataCollatorForLanguageModeling, lambda row: {}),
}


def _tags(row: dict[str, Any]) -> list[int]:
    tags = [-100] * len(row["tokens"])
    for word, label in zip(row["words"], row["labels"], strict=True):
        tags[int(word)] = int(label)
    return tags


class Adversarial(Trainer):
    """One step of gradient ascent from zero in a ball round each row's embeddings, through `inputs_embeds`."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_arguments: Any, **_options: Any) -> Tensor:  # type: ignore[override]
        module = self.accelerator.unwrap_model(model)
        ids = inputs.pop("input_ids")
        embedding = module.get_input_embeddings()
        clean = embedding(ids).detach()
        delta = torch.zeros_like(clean, requires_grad=True)
        loss = module(inputs_embeds=clean + delta, **inputs).loss
        (gradient,) = torch.autograd.grad(loss, delta)
        size = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
        reach = RADIUS * clean.flatten(1).norm(dim=1)[:, None, None]
        return model(inputs_embeds=embedding(ids) + reach * gradient / size, **inputs).loss


def trainer(
    family: str,
    rows: Sequence[dict[str, Any]],
    labels: int,
    encoder: str,
    folder: Path,
    per_rank: int,
    steps: int,
    callback: TrainerCallback,
    adversarial: bool = False,
    deepspeed: dict[str, Any] | None = DEEPSPEED,
) -> Trainer:
    """A Trainer over prepared rows of a family: `per_rank` examples of each rank in a step, padded to the longest of them."""
    kind, collator, target = KINDS[family]
    cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=per_rank,
        learning_rate=RATE,
        deepspeed=deepspeed,
        bf16=cuda,
        use_cpu=not cuda,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    return (Adversarial if adversarial else Trainer)(
        model=kind.from_pretrained(encoder, **({"num_labels": labels} if labels else {})),
        args=arguments,
        train_dataset=[{"input_ids": [int(token) for token in row["tokens"]], **target(row)} for row in rows],  # type: ignore[arg-type]
        data_collator=collator(tokenizer),
        callbacks=[callback],
    )


class FirstStep(TrainerCallback):
    """Writes the time at which the first step was done."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_step_end(self, arguments: Any, state: Any, control: Any, **_options: Any) -> None:
        if state.global_step == 1 and arguments.process_index == 0:
            self.path.write_text(str(time.time()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--train", "--encoder", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--per-rank", type=int, required=True)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.encoder)
    lines = [line.rstrip("\n").split("\t") for line in Path(options.train).read_text(encoding="utf-8").splitlines()]
    pairs = [line[-3:] for line in lines if line[-1] in ("0", "1")]
    encoded = tokenizer([a for a, _, _ in pairs], [b for _, b, _ in pairs], truncation=True, max_length=128)["input_ids"]
    rows = [{"tokens": tokens, "label": pair[2]} for tokens, pair in zip(encoded, pairs, strict=True)]
    out = Path(options.out)
    trainer("classification", rows, 2, options.encoder, out.parent / "trainer", options.per_rank, 1, FirstStep(out)).train()


if __name__ == "__main__":
    main()
