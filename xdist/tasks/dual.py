"""Dual encoder: one encoder for questions and answers, trained so that the right answer is the nearest. LAReQA, Mewsli-X.

As in google-research/xtreme (third_party/utils_lareqa.py, utils_mewslix.py): a text is the pooler's output (dense and tanh on
the first token's hidden state), of unit length; the loss is the softmax cross-entropy of the right answer over cosine x scale,
a learnt number that begins at 100. Officially the wrong answers are the others of the same micro-batch. Here they are the
others of the same group of consecutive rows of the plan, as many as an official micro-batch: groups stay together in one
micro-batch, so the loss depends on the plan alone, not on ranks or memory. The last group of a step may be smaller.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import PreTrainedTokenizerBase

from xdist.formats.examples import Passage, Query
from xdist.metrics import retrieval
from xdist.tasks.batch import Batch
from xdist.tasks.family import PreparedColumns, Row
from xdist.tasks.retrieval import Retrieval, Searched, sequences

QUERY, CANDIDATE = 0, 1
SCALE = 100.0


class Pooler(nn.Module):
    """(n, d) hidden states to (n, d) vectors of length sqrt(scale): the product of two is their scaled cosine."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.full((1,), SCALE))

    def forward(self, hidden: Tensor) -> Tensor:
        return normalize(torch.tanh(self.dense(hidden)).float(), dim=-1) * self.scale.float().sqrt()


class DualEncoder(Retrieval):
    """Examples are (Query, Passage) pairs in training; ("query", Query) or ("candidate", Passage) in evaluation."""

    columns: ClassVar = {**Retrieval.columns, "id": pa.list_(pa.uint8())}
    searches = ((QUERY, CANDIDATE),)
    k = retrieval.K
    pooled: ClassVar = True

    def encode(self, examples: Iterable[Any], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        """A row per pair (query first), query or candidate. An answer is its sentence followed by its paragraph."""
        texts = (
            ((number, side, id), text, self._limit(side, max_length))
            for number, example in enumerate(examples)
            for side, id, text in _texts(example)
        )
        for number, encoded in groupby(sequences(texts, tokenizer), key=lambda found: found[0][0]):
            kinds, rows = zip(*encoded, strict=True)
            _, side, id = kinds[0]
            yield {
                "example": number,
                "tokens": [token for row in rows for token in row["tokens"]],
                "lengths": [length for row in rows for length in row["lengths"]],
                "cut": sum(row["cut"] for row in rows),
                "side": side,
                "id": list(id.encode()),
            }

    def _limit(self, side: int, max_length: int) -> int:
        return min(self.task.query_length or max_length, max_length) if side == QUERY else max_length

    def limits(self, row: Row, max_length: int) -> list[int]:
        sides = (QUERY, CANDIDATE) if len(row["lengths"]) == 2 else (int(row["side"]),)
        return [self._limit(side, max_length) for side in sides]

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        return {}

    def head(self, width: int, dropout: float) -> nn.Module:
        return Pooler(width)

    def select(self, batch: Batch) -> Tensor:
        return batch.starts

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """`outputs` is (2 R, d): a query and its answer for each row. The target `group` says which rows' answers a query is to
        distinguishes."""
        logits, _ = self._logits(outputs, batch)
        return cross_entropy(logits, torch.arange(len(logits), device=logits.device), reduction="none")

    def log_probabilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(n,): over the answers of each query's group."""
        logits, within = self._logits(outputs, batch)
        return logits.log_softmax(-1)[within]

    def _logits(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(R, R) of each query and answer, -inf between groups, and where they are of one group."""
        queries, answers = outputs[0::2], outputs[1::2]
        group = batch.targets["group"]
        within = group[:, None] == group[None]
        return (queries @ answers.T).masked_fill(~within, -torch.inf), within

    def vectors(self, outputs: Tensor, batch: Batch) -> Tensor:
        return normalize(outputs.float(), dim=-1)

    def answers(self, scores: np.ndarray, numbers: np.ndarray, searched: Searched) -> list[np.ndarray]:
        """The ids of the nearest candidates."""
        return [
            np.array([bytes(searched.row(int(number))["id"]).decode() for number in found if number >= 0]) for found in numbers
        ]

    def finish(
        self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[tuple[str, Query]]
    ) -> dict[str, list[str]]:
        return {query.id: found.tolist() for (_, query), found in zip(examples, predictions, strict=True)}

    def gold(self, examples: Sequence[tuple[str, Query]]) -> dict[str, tuple[str, ...]] | None:
        return {query.id: query.relevant for _, query in examples if query.relevant is not None} or None


def _texts(example: tuple[Any, Any]) -> Iterator[tuple[int, str, str]]:
    """(side, id, text) of each text of an example."""
    for part in example:
        match part:
            case Query(id=id, text=text):
                yield QUERY, id, text
            case Passage(id=id, text=text, context=context):
                yield CANDIDATE, id, (text + context).replace("\n", "")
