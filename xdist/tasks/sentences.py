"""Sentence retrieval: the translation of each English sentence by cosine of mean-pooled hidden states. Tatoeba, NTREX.

As in xtreme/third_party/evaluate_retrieval.py: the index holds the foreign side, each English sentence is a query, the mean
runs over all tokens of a sentence, special tokens included. Which layer's states they are is the task's `layer`.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from xdist.formats.examples import Sentence
from xdist.metrics import metric
from xdist.tasks.batch import Batch
from xdist.tasks.family import Predictions, PreparedColumns, Row
from xdist.tasks.retrieval import Retrieval, Searched, sequences

FOREIGN, ENGLISH = 0, 1
SIDES = {"foreign": FOREIGN, "english": ENGLISH}


class MeanPooled(Retrieval):
    """Sentences as the mean of their tokens' hidden states, by an encoder that needs no head."""

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        return {}

    def head(self, width: int, dropout: float) -> nn.Module:
        return nn.Identity()

    def select(self, batch: Batch) -> Tensor:
        return torch.arange(len(batch.tokens), device=batch.tokens.device)

    def vectors(self, outputs: Tensor, batch: Batch) -> Tensor:
        sums = outputs.new_zeros(len(batch.lengths), outputs.shape[-1], dtype=torch.float32)
        sums.index_add_(0, batch.token_sequence, outputs.float())
        return nn.functional.normalize(sums / batch.lengths[:, None], dim=-1)


class SentenceRetrieval(MeanPooled):
    """Which rows are looked up, and how many are found for each, is as the task's metric reads them."""

    @property
    def searches(self) -> tuple[tuple[int, int], ...]:
        both_ways = metric(self.task.metric).both_ways
        return ((ENGLISH, FOREIGN), (FOREIGN, ENGLISH)) if both_ways else ((ENGLISH, FOREIGN),)

    @property
    def k(self) -> int:
        return metric(self.task.metric).nearest

    def encode(
        self, examples: Iterable[tuple[str, Sentence]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> Iterator[Row]:
        texts = ((SIDES[side], sentence.text, max_length) for side, sentence in examples)
        for number, (side, row) in enumerate(sequences(texts, tokenizer)):
            yield {"example": number, **row, "side": side}

    def language(self, row: Row, language: str) -> str:
        return self.task.written_in(language)[-1 if row["side"] == ENGLISH else 0]

    def answers(self, scores: np.ndarray, numbers: np.ndarray, searched: Searched) -> list[np.ndarray]:
        return list(numbers)

    def finish(
        self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[tuple[str, Sentence]]
    ) -> list[int] | list[list[int]]:
        """Lines of the other side: of each English sentence, then with `both_ways` of each foreign one."""
        # The other language's side comes first in its piece: the number of a row of it is its line.
        first_english = int((rows.column("side") == FOREIGN).sum())
        foreign = len(predictions) - (len(rows.column("side")) - first_english)
        ordered = [*((0, one) for one in predictions[foreign:]), *((first_english, one) for one in predictions[:foreign])]
        lines = [[int(number) - begin for number in one if number >= 0] for begin, one in ordered]
        return lines if self.k > 1 else [line[0] for line in lines]

    def count_of(self, predictions: Predictions) -> int:
        """Pairs, however many ways they are searched."""
        return len(predictions) // len(self.searches)

    def gold(self, examples: Sequence[tuple[str, Sentence]]) -> list[str] | None:
        return [sentence.gold for side, sentence in examples if side == "english" and sentence.gold is not None] or None
