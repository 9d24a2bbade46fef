"""Classification of a text or a pair of texts: one label from the first token's hidden state. XNLI, PAWS-X."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from xdist.config.distil import Distil
from xdist.config.evaluate import Evaluate
from xdist.formats.examples import Classified
from xdist.metrics import METRICS, metric
from xdist.tasks.batch import Batch
from xdist.tasks.catalog import Task
from xdist.tasks.family import Family, PreparedColumns, Row

TEACHER = "teacher"


class FirstTokenHead(nn.Sequential):
    """Dropout, dense, tanh, dropout, projection: the classification head of RoBERTa (arXiv 1907.11692)."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__(
            nn.Dropout(dropout), nn.Linear(width, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, outputs)
        )


class Classification(Family):
    columns: ClassVar = {"label": pa.int16()}
    pairs: ClassVar = True

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._graded = bool(task.metric) and METRICS.has(task.metric) and metric(task.metric).graded
        self._expected = False  # `evaluate.relevance`
        self.distil: Distil | None = None  # how a teacher's logits, the target `teacher` (R, labels), are learnt from

    def encode(self, examples: Iterable[Classified], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        numbers = {label: number for number, label in enumerate(self.task.labels)}
        source = iter(examples)
        number = 0
        while chunk := list(islice(source, 1000)):  # the fast tokenizer works on many texts at once
            first, *second = zip(*(example.texts for example in chunk), strict=True)
            texts = [list(column) for column in (first, *second)]
            whole = tokenizer(*texts, return_attention_mask=False, verbose=False)["input_ids"]
            fitting = whole
            if max(map(len, whole)) > max_length:
                fitting = tokenizer(*texts, truncation=True, max_length=max_length, return_attention_mask=False)["input_ids"]
            for example, full, tokens in zip(chunk, whole, fitting, strict=True):
                yield {
                    "example": number,
                    "tokens": tokens,
                    "lengths": [len(tokens)],
                    "cut": len(full) - len(tokens),
                    "label": -1 if example.label is None else numbers[example.label],
                }
                number += 1

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        return {"label": torch.tensor([row["label"] for row in rows], dtype=torch.long)}

    def head(self, width: int, dropout: float) -> nn.Module:
        return FirstTokenHead(width, len(self.task.labels), dropout)

    def select(self, batch: Batch) -> Tensor:
        return batch.starts

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        loss = cross_entropy(outputs.float(), batch.targets["label"], reduction="none")
        how = self.distil
        if how is None or TEACHER not in batch.targets:
            return loss
        teacher = (batch.targets[TEACHER] / how.temperature).log_softmax(-1)
        student = (outputs.float() / how.temperature).log_softmax(-1)
        apart = (teacher.exp() * (teacher - student)).sum(-1)
        return how.of_labels * loss + how.weight * how.temperature**2 * apart

    def log_probabilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(R, labels)"""
        return outputs.float().log_softmax(-1)

    def finish_as(self, how: Evaluate, tokenizer: PreTrainedTokenizerBase | None) -> None:
        self._expected = how.relevance == "expected"

    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        """The number of the likeliest label; where labels are grades, (2,): that, and the mean grade."""
        likeliest = outputs.argmax(-1)
        if not self._graded:
            return list(likeliest.cpu().numpy())
        grades = torch.tensor([float(label) for label in self.task.labels], device=outputs.device)
        mean = outputs.float().softmax(-1) @ grades
        return list(torch.stack([likeliest.float(), mean], dim=-1).cpu().numpy())

    def finish(self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[Any]) -> list[str]:
        if not self._graded:
            return [self.task.labels[int(number)] for number in predictions]
        return [f"{mean:.6f}" if self._expected else self.task.labels[int(number)] for number, mean in predictions]

    def gold(self, examples: Sequence[Classified]) -> list[str] | None:
        return [example.label for example in examples if example.label is not None] or None
