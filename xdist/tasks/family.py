"""What a task family is: from an example to token rows, from hidden states to a loss, from outputs to predictions."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from xdist.config.data import Joining
from xdist.config.evaluate import Evaluate
from xdist.errors import UserError
from xdist.metrics import Given, metric
from xdist.metrics.counts import CountRows
from xdist.tasks.batch import Batch
from xdist.tasks.catalog import Task
from xdist.tasks.families import FAMILIES, FamilyEntry
from xdist.tasks.rewritten import Rewritten

Row = dict[str, Any]
Predictions = list[Any] | dict[str, Any]

# Every row has these columns; a family adds its own.
COMMON_COLUMNS: dict[str, pa.DataType] = {
    "example": pa.int64(),  # which example of the file; several rows may share one
    "tokens": pa.list_(pa.int32()),  # the row's sequences one after another, special tokens included
    "lengths": pa.list_(pa.int32()),  # tokens of each sequence
    "cut": pa.int32(),  # tokens that did not fit and were left out
}


class ExampleError(UserError):
    """An example of which no row can be made; `number` counts those given to `encode` from 0."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(what)
        self.number = number


class PreparedColumns(Protocol):
    """The prepared rows, as far as `finish` needs them."""

    def column(self, name: str) -> np.ndarray:
        """A scalar column over all rows."""

    def row(self, number: int) -> Row:
        """All columns of one row."""


class Family(ABC):
    """One family, bound to one task. A new family is one file with one subclass, and its entry (xdist/tasks/families.py)."""

    columns: ClassVar[dict[str, pa.DataType]] = {}
    # Whether `encode` must see all examples of a piece at once; else any run of them.
    whole: ClassVar[bool] = False
    # What a rewriting of words (xdist/robust) has to know of the family's rows.
    pairs: ClassVar[bool] = False  # a sequence may hold two texts
    repeats: ClassVar[bool] = False  # the sequences of a row begin with the same text, which is rewritten equally in all
    one_for_one: ClassVar[bool] = False  # a word is replaced by one word, never by several
    by_position: ClassVar[bool] = False  # a row and its rewriting are compared at the positions `shared` that both have

    def __init__(self, task: Task) -> None:
        self.task = task
        self.compared = False  # whether training compares predictions, so that outputs must hold them
        self.joining: Joining = "joined"  # how `encode` makes text of given words (`data.words`)

    def finish_as(self, how: Evaluate, tokenizer: PreTrainedTokenizerBase | None) -> None:  # noqa: B027
        """How `finish` is asked to make predictions (`evaluate.answers`, `evaluate.relevance`), `tokenizer` that of the rows;
        families that have no choice need not know."""

    # --- from examples to rows -----------------------------------------------------------------------------------
    @abstractmethod
    def encode(self, examples: Iterable[Any], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        """Rows with the common columns and the family's own, in the order of `examples`. Raises ExampleError for one that no
        row can be made of."""

    def language(self, row: Row, language: str) -> str:
        """The language of a row of a subset of `language`."""
        return language

    # --- from a row to the same row in other words ---------------------------------------------------------------
    def word_starts(self, row: Row) -> np.ndarray | None:
        """Positions at which words begin; None where they begin at white space."""
        return None

    def fixed(self, row: Row) -> np.ndarray:
        """Positions of tokens whose word must stay as it is."""
        return np.zeros(0, np.int64)

    def continued(self, row: Row) -> int | None:
        """The position of a token that may continue with a word started outside of the row; None for rows that begin with a
        word."""
        return None

    def limits(self, row: Row, max_length: int) -> list[int]:
        """The largest number of tokens of each sequence of the row."""
        return [max_length] * len(row["lengths"])

    def moved(self, row: Row, new: Rewritten) -> Row:
        """The row with its tokens as in `new` and everything that refers to positions moved along."""
        return {**row, "tokens": new.tokens, "lengths": new.lengths}

    # --- from rows to a loss -------------------------------------------------------------------------------------
    @abstractmethod
    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The tensors that `select`, `loss` and `predict` need in addition to the tokens."""

    @abstractmethod
    def head(self, width: int, dropout: float) -> nn.Module:
        """A module that maps (n, d) hidden states to outputs; parameter-free where the task needs no training."""

    def layer(self, depth: int) -> int:
        """Which hidden layer of an encoder of `depth` layers the head reads; 0 is the embedding."""
        return self.task.layer(depth) if self.task.layer else depth

    @abstractmethod
    def select(self, batch: Batch) -> Tensor:
        """Positions in `batch.tokens` whose hidden states the head reads."""

    def outputs(self, head: nn.Module, states: Tensor, batch: Batch) -> Tensor:
        """What `head` makes of the selected hidden states."""
        outputs: Tensor = head(states)
        return outputs

    def count(self, batch: Batch) -> int:
        """Valid tokens or examples: what the loss of a complete step is divided by."""
        return len(batch.row_ids)

    def row_of(self, batch: Batch) -> Tensor:
        """(count,) which row of the batch each valid token or example belongs to."""
        return torch.arange(len(batch.row_ids), device=batch.row_ids.device)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(count,) the loss of each valid token or example of the batch, fp32."""
        raise UserError(f"task '{self.task.name}' ({self.task.family}) is evaluated, not trained")

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Their sum."""
        return self.losses(outputs, batch).sum()

    def log_probabilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The log-probabilities that the loss is taken from, fp32, in any shape without zero probabilities: what divergences
        between predictions sum over. With the target `shared` only over what both of two views of a row have."""
        raise UserError(f"task '{self.task.name}' ({self.task.family}) is evaluated, not trained")

    # --- from outputs to a score ---------------------------------------------------------------------------------
    @abstractmethod
    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        """One array per row of the batch."""

    @abstractmethod
    def finish(self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[Any]) -> Predictions:
        """From the predictions of all rows (in row order) to what the submission file holds: one prediction per entry, or one
        per id."""

    @abstractmethod
    def gold(self, examples: Sequence[Any]) -> Any | None:
        """What the predictions should have been, in their form; None when the file holds no gold."""

    def count_of(self, predictions: Predictions) -> int:
        """How many examples these are the predictions of."""
        return len(predictions)

    def per_example(self, predictions: Any, examples: Sequence[Any], language: str) -> CountRows | None:
        """What the task's metric counts, so that two systems can be compared example by example. None without gold."""
        if (gold := self.gold(examples)) is None:
            return None
        return metric(self.task.metric).rows_of(predictions, gold, Given(language, self.task.labels, examples))

    def score(self, predictions: Any, examples: Sequence[Any], language: str) -> dict[str, float]:
        """The numbers of the task's metric, in points. Empty when the file holds no gold."""
        rows = self.per_example(predictions, examples, language)
        return {} if rows is None else metric(self.task.metric).of_rows(rows)


def family_of(task: Task) -> Family:
    return _loaded(FAMILIES.get(task.family))(task)


@cache
def _loaded(entry: FamilyEntry) -> type[Family]:
    return entry.load()
