"""Parallel text: each row a sentence and its English translation, each by itself, as a mean of hidden states.

Maps are fitted on it (xdist/model/alignment.py), and it is trained on (xdist/config/parallel.py says towards what). The rows
that a loss distinguishes are consecutive rows of the plan that stay together in one micro-batch, as of dual encoders, so that
the loss depends on the plan alone, not on ranks, ZeRO stage or memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import PreTrainedTokenizerBase

from xdist.config.parallel import Parallel
from xdist.errors import UserError
from xdist.formats.examples import Line
from xdist.tasks.batch import Batch
from xdist.tasks.catalog import Task
from xdist.tasks.family import Family, PreparedColumns, Row
from xdist.tasks.retrieval import sequences
from xdist.tasks.rewritten import Rewritten

TEXTS = "texts"
# Of a row, or as targets of a batch: (n, 4) first token and the one after the last of both words of each pair that are linked,
# and (n,) which row of the batch each pair is of.
LINKS, LINK_ROW = "links", "link_row"


class ParallelText(Family):
    """Examples are lines with a translation; of each row the sequence in the other language comes first, then English."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.options = Parallel()

    def encode(self, examples: Iterable[Line], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        texts = (
            (line.number - 1, text, max_length)
            for line in examples
            if line.translation is not None
            for text in (line.text, line.translation)
        )
        for number, encoded in groupby(sequences(texts, tokenizer), key=lambda found: found[0]):
            rows = [row for _, row in encoded]
            yield {
                "example": number,
                "tokens": [token for row in rows for token in row["tokens"]],
                "lengths": [length for row in rows for length in row["lengths"]],
                "cut": sum(row["cut"] for row in rows),
            }

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """`texts` (R, 2): numbers that are equal where the sentences of a side are. Of rows whose words are linked `links` and
        `link_row`, as positions in the batch."""
        texts = {TEXTS: torch.tensor([_numbers(row) for row in rows], dtype=torch.long)}
        return {**texts, **_linked(rows)} if rows and LINKS in rows[0] else texts

    def moved(self, row: Row, new: Rewritten) -> Row:
        row = super().moved(row, new)
        return {**row, LINKS: new.places[row[LINKS]]} if LINKS in row else row

    def head(self, width: int, dropout: float) -> nn.Module:
        return nn.Identity()

    def layer(self, depth: int) -> int:
        return self.options.layer or depth

    def select(self, batch: Batch) -> Tensor:
        return torch.arange(len(batch.tokens), device=batch.tokens.device)

    def outputs(self, head: nn.Module, states: Tensor, batch: Batch) -> Tensor:
        """(2 R, d) fp32, means of sentences; behind them the model puts those of the anchor, (R, d), where there is one. Of
        linked words (2 n, d), sums, those of the other language first."""
        return word_sums(states, batch) if self.options.loss == "words" else means(states, batch)

    def count(self, batch: Batch) -> int:
        """Rows, or pairs of words."""
        return len(batch.targets[LINKS]) if self.options.loss == "words" else super().count(batch)

    def row_of(self, batch: Batch) -> Tensor:
        return batch.targets[LINK_ROW] if self.options.loss == "words" else super().row_of(batch)

    @property
    def anchored(self) -> bool:
        """Whether training needs the English sentences as the model began with them."""
        return self.options.anchored > 0

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        how = self.options
        if how.loss == "words":
            return how.strength * self._realigned(outputs, batch)
        rows = len(batch.row_ids)
        foreign, english = sides(outputs[: 2 * rows])
        loss = (foreign - english).square().sum(-1) if how.loss == "l2" else self._contrast(foreign, english, batch)
        if how.strength != 1:
            loss = how.strength * loss
        if self.anchored:
            loss = loss + how.anchored * (english - outputs[2 * rows :]).square().sum(-1)
        return loss

    def _realigned(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(n,): of each pair the mean over its two words of the cross-entropy of finding the other among all other words."""
        pairs = len(batch.targets[LINKS])
        if not pairs:
            return outputs.sum(-1)  # of no words: nothing, on the way to every weight
        vectors = normalize(outputs, dim=-1)
        logits = vectors @ vectors.T / self.options.tempered
        group = batch.targets["group"][batch.targets[LINK_ROW]].repeat(2)
        numbers = torch.arange(2 * pairs, device=outputs.device)
        apart = (group[:, None] == group[None]) & (numbers[:, None] != numbers[None])
        losses = cross_entropy(logits.masked_fill(~apart, -torch.inf), numbers.roll(pairs), reduction="none")
        return (losses[:pairs] + losses[pairs:]) / 2

    def _contrast(self, foreign: Tensor, english: Tensor, batch: Batch) -> Tensor:
        """(R,): a sentence that is in two rows of a group is no wrong answer of either."""
        logits = normalize(foreign, dim=-1) @ normalize(english, dim=-1).T / self.options.tempered
        group, texts = batch.targets["group"], batch.targets[TEXTS]
        right = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        losses = torch.zeros_like(logits[:, 0])
        for logits_of_side, side in ((logits, 1), (logits.T, 0)):
            same = texts[:, side, None] == texts[None, :, side]
            apart = (group[:, None] == group[None]) & (right | ~same)
            numbers = torch.arange(len(logits_of_side), device=logits_of_side.device)
            losses = losses + cross_entropy(logits_of_side.masked_fill(~apart, -torch.inf), numbers, reduction="none") / 2
        return losses

    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        raise self._not_evaluated()

    def finish(self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[Any]) -> list[int]:
        raise self._not_evaluated()

    def gold(self, examples: Sequence[Any]) -> None:
        raise self._not_evaluated()

    def _not_evaluated(self) -> UserError:
        return UserError(f"task '{self.task.name}' ({self.task.family}) is fitted or trained on, not evaluated")


def means(states: Tensor, batch: Batch) -> Tensor:
    """(S, d) fp32: of each sequence the mean of its tokens' states (T, d), special tokens included."""
    sums = states.new_zeros(len(batch.lengths), states.shape[-1], dtype=torch.float32)
    return sums.index_add(0, batch.token_sequence, states.float()) / batch.lengths[:, None]


def word_sums(states: Tensor, batch: Batch) -> Tensor:
    """(2 n, d) fp32: of each linked word the sum of its tokens' states (T, d); first those of the other language."""
    return span_sums(states, _spans(batch.targets[LINKS]))


def word_means(states: Tensor, links: Tensor) -> Tensor:
    """The same as means, of links (n, 4)."""
    return span_sums(states, _spans(links), mean=True)


def _spans(links: Tensor) -> Tensor:
    return torch.cat([links[:, :2], links[:, 2:]])


def span_sums(states: Tensor, spans: Tensor, mean: bool = False) -> Tensor:
    """(n, d) fp32: the sums, or the means, of the states (T, d) of n spans, (n, 2) first token and the one after the last."""
    low, lengths = spans[:, 0], spans[:, 1] - spans[:, 0]
    word = torch.repeat_interleave(lengths)
    begin = torch.cumsum(lengths, 0) - lengths
    places = low[word] + torch.arange(len(word), device=states.device) - begin[word]
    sums = states.new_zeros(len(low), states.shape[-1], dtype=torch.float32).index_add(0, word, states[places].float())
    return sums / lengths[:, None] if mean else sums


def sides(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """(R, d) of the other language and of English, from the vectors (2 R, d) of a batch's sequences."""
    return vectors[0::2], vectors[1::2]


def english_side(batch: Batch) -> Batch:
    """The English sentences of a batch, each a row of one sequence."""
    lengths, host_lengths = batch.lengths[1::2], batch.host_lengths[1::2]
    rows = torch.arange(len(batch.row_ids), device=batch.tokens.device)
    # How many tokens there are is known here: nothing waits for the device to count them.
    begins = batch.starts[1::2] - (torch.cumsum(lengths, 0) - lengths)
    places = torch.arange(sum(host_lengths), device=rows.device) + torch.repeat_interleave(
        begins, lengths, output_size=sum(host_lengths)
    )
    english = Batch(batch.head, batch.tokens[places], lengths, rows, batch.row_ids)
    english.host_lengths = host_lengths
    return english


def _linked(rows: Sequence[Row]) -> dict[str, Tensor]:
    begins = np.cumsum([0, *(int(np.sum(row["lengths"])) for row in rows[:-1])])
    links = np.concatenate([row[LINKS] + begin for row, begin in zip(rows, begins, strict=True)])
    of_rows = np.repeat(np.arange(len(rows)), [len(row[LINKS]) for row in rows])
    return {LINKS: torch.from_numpy(links), LINK_ROW: torch.from_numpy(of_rows)}


def _numbers(row: Row) -> list[int]:
    first = int(row["lengths"][0])
    tokens = np.asarray(row["tokens"], np.int32)
    return [int.from_bytes(blake2b(part.tobytes(), digest_size=7).digest()) for part in (tokens[:first], tokens[first:])]
