"""Multiple choice: one logit per option from the first token of `prompt, option`, softmax over the options. COPA, Social IQa.

The head does not know how many options there are, so it is carried from Social IQa (3) to COPA (2), and one batch may hold
both.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from xdist.formats.examples import Choice
from xdist.tasks.batch import Batch
from xdist.tasks.classification import FirstTokenHead
from xdist.tasks.family import Family, PreparedColumns, Row
from xdist.tasks.segments import log_softmax


class MultipleChoice(Family):
    columns: ClassVar = {"label": pa.int8()}  # which option is right, from 0; -1 without gold
    pairs: ClassVar = True
    repeats: ClassVar = True

    def encode(self, examples: Iterable[Choice], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        """A row per example: its sequences, one per option, one after another."""
        source = iter(examples)
        number = 0
        while chunk := list(islice(source, 1000)):
            prompts = [example.prompt for example in chunk for _ in example.options]
            options = [option for example in chunk for option in example.options]
            whole = tokenizer(prompts, options, return_attention_mask=False, verbose=False)["input_ids"]
            fitting = whole
            if max(map(len, whole)) > max_length:
                cutting = {"truncation": True, "max_length": max_length}
                fitting = tokenizer(prompts, options, return_attention_mask=False, **cutting)["input_ids"]
            place = 0
            for example in chunk:
                sequences = slice(place, place := place + len(example.options))
                lengths = [len(tokens) for tokens in fitting[sequences]]
                yield {
                    "example": number,
                    "tokens": [token for tokens in fitting[sequences] for token in tokens],
                    "lengths": lengths,
                    "cut": sum(map(len, whole[sequences])) - sum(lengths),
                    "label": -1 if example.label is None else example.label,
                }
                number += 1

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        options = torch.tensor([len(row["lengths"]) for row in rows])
        labels = torch.tensor([int(row["label"]) for row in rows])
        return {"options": options, "gold": torch.cumsum(options, 0) - options + labels}

    def head(self, width: int, dropout: float) -> nn.Module:
        return FirstTokenHead(width, 1, dropout)

    def select(self, batch: Batch) -> Tensor:
        return batch.starts

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy over the options of each example; `outputs` is (S, 1)."""
        return -self.log_probabilities(outputs, batch)[batch.targets["gold"], 0]

    def log_probabilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(S, 1): over the options of each example."""
        return log_softmax(outputs.float(), batch.sequence_row, len(batch.row_ids))

    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        parts = outputs[:, 0].float().cpu().split(batch.targets["options"].tolist())
        return [part.argmax().numpy() for part in parts]

    def finish(self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[Choice]) -> list[int]:
        return [int(option) for option in predictions]

    def gold(self, examples: Sequence[Choice]) -> list[int] | None:
        return [example.label for example in examples if example.label is not None] or None
