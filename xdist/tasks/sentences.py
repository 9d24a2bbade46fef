"""Sentence retrieval: the translation of each English sentence by cosine of mean-pooled hidden states. Tatoeba.

As in xtreme/third_party/evaluate_retrieval.py: the index holds the foreign side, each English sentence is a query, the mean
runs over all tokens of a sentence, special tokens included.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from xdist.formats.examples import Sentence
from xdist.metrics import accuracy
from xdist.tasks.batch import Batch
from xdist.tasks.family import Columns, Family, Row

SIDES = ("foreign", "english")


class SentenceRetrieval(Family):
    columns: ClassVar = {"side": pa.int8()}

    def encode(
        self, examples: Iterable[tuple[str, Sentence]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> Iterator[Row]:
        source = iter(examples)
        number = 0
        while chunk := list(islice(source, 1000)):
            encoded = tokenizer([sentence.text for _, sentence in chunk], return_attention_mask=False, verbose=False)
            for (side, _), tokens in zip(chunk, encoded["input_ids"], strict=True):
                fitting = [*tokens[: max_length - 1], tokens[-1]] if len(tokens) > max_length else tokens
                yield {
                    "example": number,
                    "tokens": fitting,
                    "lengths": [len(fitting)],
                    "cut": len(tokens) - len(fitting),
                    "side": SIDES.index(side),
                }
                number += 1

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        return {}

    def head(self, width: int, dropout: float) -> nn.Module:
        return nn.Identity()

    def select(self, batch: Batch) -> Tensor:
        return torch.arange(len(batch.tokens), device=batch.tokens.device)

    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        sums = outputs.new_zeros(len(batch.lengths), outputs.shape[-1], dtype=torch.float32)
        sums.index_add_(0, batch.token_sequence, outputs.float())
        return list(nn.functional.normalize(sums / batch.lengths[:, None], dim=-1).cpu().numpy())

    def finish(self, predictions: Sequence[np.ndarray], rows: Columns, examples: Sequence[Any]) -> list[int]:
        vectors = np.stack(predictions)
        index, queries = (vectors[rows.column("side") == number] for number in range(len(SIDES)))
        return [int(row) for row in (queries @ index.T).argmax(-1)]

    def score(self, predictions: Sequence[int], examples: Sequence[tuple[str, Sentence]], language: str) -> dict[str, float]:
        gold = [sentence.gold for side, sentence in examples if side == "english" and sentence.gold is not None]
        return accuracy.score(accuracy.per_example(predictions, gold)) if gold else {}
