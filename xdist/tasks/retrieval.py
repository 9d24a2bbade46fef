"""What the retrieval families share: rows become unit vectors, and a row is answered by its nearest rows of another side."""

from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xdist.tasks.batch import Batch
from xdist.tasks.family import Family, Row
from xdist.tasks.special_tokens import around_text

T = TypeVar("T")


class Searched(Protocol):
    """The rows that were searched, one set after another, by the numbers that the search gives."""

    def row(self, number: int) -> dict[str, Any]:
        """Row `number` as {column: value}."""


class Retrieval(Family):
    """`side` says what a row is; for every (side, other side) of `searches` the rows of the first are looked up among those
    of the second: of the same piece, or with `pooled` of all pieces of the task's pool."""

    columns: ClassVar[dict[str, pa.DataType]] = {"side": pa.int8()}
    pooled: ClassVar[bool] = False

    @property
    @abstractmethod
    def searches(self) -> tuple[tuple[int, int], ...]: ...

    @property
    @abstractmethod
    def k(self) -> int:
        """How many rows are found for each."""

    @abstractmethod
    def vectors(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(R, d) one unit vector per row, float32."""

    @abstractmethod
    def answers(self, scores: np.ndarray, numbers: np.ndarray, searched: Searched) -> list[np.ndarray]:
        """One prediction per query from inner products and numbers (n, k) of its nearest rows, best first; where fewer than k
        were searched the last are -inf and -1. `finish` takes the predictions of the rows that look others up."""

    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        return list(self.vectors(outputs, batch).cpu().numpy())


def sequences(texts: Iterator[tuple[T, str, int]], tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[T, Row]]:
    """For each (what it is, text, limit) what it is and a row of one sequence of at most `limit` tokens, without a number."""
    _, after = around_text(tokenizer)
    while chunk := list(islice(texts, 1000)):  # the fast tokenizer works on many texts at once
        encoded = tokenizer([text for _, text, _ in chunk], return_attention_mask=False, verbose=False)["input_ids"]
        for (what, _, limit), tokens in zip(chunk, encoded, strict=True):
            # What ends every sequence stays.
            fitting = [*tokens[: limit - len(after)], *after] if len(tokens) > limit else tokens
            yield what, {"tokens": fitting, "lengths": [len(fitting)], "cut": len(tokens) - len(fitting)}
