"""Masked language modelling on running text, and translation language modelling on parallel text (arXiv 1901.07291).

A document becomes sequences of up to `max_length` tokens, all but the last of them full: no token is left out, none comes
twice. A pair of parallel lines becomes one sequence, both texts of it masked. Which tokens are masked is drawn each time a row
is visited (`xdist.data.masking`); logits are computed at the masked positions alone, since over 250,000 pieces the head costs
more than the encoder, and in training for some of these at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, linear
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xdist.errors import UserError
from xdist.formats.examples import Line
from xdist.tasks.batch import Batch
from xdist.tasks.family import Family, PreparedColumns, Row
from xdist.tasks.large_vocabulary import cross_entropies
from xdist.tasks.special_tokens import around_text

# The label of a batch that has not been masked yet: nothing is predicted.
MASKED, LABEL = "masked", "label"
LINES_AT_A_TIME = 1000


class LanguageHead(nn.Module):
    """Dense, activation, LayerNorm, then the product with every input embedding, plus a bias: the head of RoBERTa (arXiv
    1907.11692). Of other kinds it has other parts, or none of them, and perhaps its own matrix (xdist/model/heads.py).

    `tie` makes the encoder's embedding the head's last matrix: one parameter in two places, trained or frozen in both.
    """

    def __init__(
        self,
        dense: nn.Linear | None,
        activation: Callable[[Tensor], Tensor] = gelu,
        norm: nn.LayerNorm | None = None,
        bias: bool = True,
        matrix: nn.Linear | None = None,
    ) -> None:
        """`matrix`: instead of the embedding, (pieces, inner width), without a bias."""
        super().__init__()
        self.dense, self.layer_norm, self.activation, self._biased = dense, norm, activation, bias
        self.pieces: Tensor | None
        self.rows: Tensor | None
        self.register_buffer("pieces", None, persistent=False)
        self.register_buffer("rows", None, persistent=False)
        self.own = matrix
        # What is not the head's own: neither saved nor loaded with it.
        self.tied = ("decoder",) if matrix is None else ()

    def tie(self, encoder: PreTrainedModel) -> None:
        if self.own is None:
            self.decoder: nn.Parameter = encoder.get_input_embeddings().weight  # type: ignore[assignment]
        kept = torch.zeros(encoder.config.vocab_size, dtype=encoder.dtype)
        if self._biased:
            self.bias = nn.Parameter(kept)
        else:
            self.register_buffer("bias", kept, persistent=False)

    def restrict(self, pieces: Tensor, place: Tensor | None = None) -> None:
        """Choose among `pieces` (n,) alone, sorted ids: logits and labels are then by their numbers there. `place` (V,): the
        row of each id in the embedding's weight, where that does not hold all of them."""
        matrix = self.decoder if self.own is None else self.own.weight
        rows = pieces if place is None or self.own is not None else place[pieces]
        whole = len(matrix) == len(rows) and torch.equal(rows, torch.arange(len(rows), device=rows.device))
        self.pieces, self.rows = pieces, None if whole else rows

    def forward(self, hidden: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, pieces) logits of hidden states (n, d); with `labels` (n,) their cross-entropies alone, fp32."""
        states = hidden if self.dense is None else self.activation(self.dense(hidden))
        if self.layer_norm is not None:
            states = self.layer_norm(states)
        matrix = self.decoder if self.own is None else self.own.weight
        matrix = matrix if self.rows is None else matrix.index_select(0, self.rows)
        bias = self.bias if self.pieces is None else self.bias.index_select(0, self.pieces)
        if labels is not None:
            return cross_entropies(states, matrix, bias, labels)
        return linear(states, matrix, bias)


class MaskedLM(Family):
    def encode(self, examples: Iterable[Line], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        """A row per sequence; its `example` is the number of the line in which it begins, from 0. Of a pair of lines that does
        not fit the longer one is cut."""
        before, after = (np.array(tokens, np.int32) for tokens in around_text(tokenizer))
        room = max_length - len(before) - len(after)
        held: list[np.ndarray] = []
        begins, full = 0, 0

        def row() -> Row:
            tokens = np.concatenate([before, *held, after])
            return {"example": begins - 1, "tokens": tokens, "lengths": [len(tokens)], "cut": 0}

        source = iter(examples)
        while chunk := list(islice(source, LINES_AT_A_TIME)):
            if chunk[0].translation is not None:
                yield from self._pairs(chunk, tokenizer, max_length)
                continue
            for line, ids in zip(chunk, _pieces([line.text for line in chunk], tokenizer), strict=True):
                if line.new and held:
                    yield row()
                    held, full = [], 0
                tokens = np.array(ids, np.int32)
                while len(tokens):
                    if not held:
                        begins = line.number
                    held.append(tokens[: room - full])
                    full += len(held[-1])
                    tokens = tokens[len(held[-1]) :]
                    if full == room:
                        yield row()
                        held, full = [], 0
        if held:
            yield row()

    def _pairs(self, chunk: Sequence[Line], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        texts = [line.text for line in chunk], [line.translation or "" for line in chunk]
        whole = tokenizer(*texts, return_attention_mask=False, verbose=False)["input_ids"]
        fitting = whole
        if max(map(len, whole)) > max_length:
            fitting = tokenizer(*texts, truncation=True, max_length=max_length, return_attention_mask=False)["input_ids"]
        for line, full, tokens in zip(chunk, whole, fitting, strict=True):
            yield {
                "example": line.number - 1,
                "tokens": tokens,
                "lengths": [len(tokens)],
                "cut": len(full) - len(tokens),
            }

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        return {MASKED: torch.zeros(0, dtype=torch.long), LABEL: torch.zeros(0, dtype=torch.long)}

    def head(self, width: int, dropout: float) -> nn.Module:
        return LanguageHead(nn.Linear(width, width), norm=nn.LayerNorm(width))

    def select(self, batch: Batch) -> Tensor:
        return batch.targets[MASKED]

    def count(self, batch: Batch) -> int:
        return len(batch.targets[LABEL])

    def row_of(self, batch: Batch) -> Tensor:
        return batch.token_row[batch.targets[MASKED]]

    def outputs(self, head: nn.Module, states: Tensor, batch: Batch) -> Tensor:
        """In training the losses, whose logits never exist all at once, but where predictions are compared."""
        outputs: Tensor = head(states, batch.targets[LABEL]) if head.training and not self.compared else head(states)
        return outputs

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the tokens that were masked; `outputs` is (masked, pieces), or the losses themselves."""
        if outputs.ndim == 1:
            return outputs
        return cross_entropy(outputs.float(), batch.targets[LABEL], reduction="none")

    def log_probabilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(masked, pieces)"""
        return outputs.float().log_softmax(-1)

    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        raise self._not_evaluated()

    def finish(self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[Any]) -> list[int]:
        raise self._not_evaluated()

    def gold(self, examples: Sequence[Any]) -> None:
        raise self._not_evaluated()

    def _not_evaluated(self) -> UserError:
        return UserError(f"task '{self.task.name}' ({self.task.family}) is trained, not evaluated")


def _pieces(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Of each text, without special tokens, and without the offsets that cost most of the time."""
    if not tokenizer.is_fast:
        encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids
    return [one.ids for one in tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
