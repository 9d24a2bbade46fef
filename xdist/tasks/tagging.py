"""Tagging of words: a label for each word from its first sub-word. UD-POS, WikiANN.

A sentence that is too long is cut into several rows at word boundaries and joined again, as the official preparation does
(xtreme/utils_preprocess.py), so no word is lost. A word without a sub-word, or too long for any row, becomes <unk>. How the
sub-words of given words are found is in xdist/tasks/given_words.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from xdist.formats.examples import Tagged
from xdist.tasks.batch import Batch
from xdist.tasks.family import ExampleError, Family, PreparedColumns, Row
from xdist.tasks.given_words import Spelled, spell_words
from xdist.tasks.rewritten import Rewritten
from xdist.tasks.special_tokens import around_pair, around_text


class Tagging(Family):
    columns: ClassVar = {
        "words": pa.list_(pa.int32()),  # position in the row of the first sub-word of each word
        "labels": pa.list_(pa.int16()),  # number of the tag of each word; empty without gold
    }
    one_for_one: ClassVar = True

    def encode(self, examples: Iterable[Tagged], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Row]:
        numbers = {label: number for number, label in enumerate(self.task.labels)}
        before, after = around_text(tokenizer)
        if self.joining == "official":  # the public scripts give XLM-R's rows the two ends of the first text of a pair
            between = around_pair(tokenizer)[1]
            after = between if between[: len(after)] == after else after
        room = max_length - len(before) - len(after)
        source = iter(examples)
        number = 0
        while chunk := list(islice(source, 1000)):
            for example, found in zip(chunk, spell_words(chunk, tokenizer, self.joining), strict=True):
                words = self._fitting(found, number, example, tokenizer.unk_token_id, room)
                tags = [numbers[tag] for tag in example.tags or ()]
                for first, last in _chunks([len(word) for word in words], room):
                    inside = words[first:last]
                    tokens = [*before, *(token for word in inside for token in word), *after]
                    # A word that shares a piece with the one before it is read there.
                    firsts = np.cumsum([len(before), *map(len, inside)])[:-1] - np.array(found.shares[first:last], np.int64)
                    yield {
                        "example": number,
                        "tokens": tokens,
                        "lengths": [len(tokens)],
                        "cut": 0,
                        "words": firsts,
                        "labels": tags[first:last],
                    }
                number += 1

    def _fitting(self, found: Spelled, number: int, example: Tagged, unknown: int | None, room: int) -> list[list[int]]:
        """The pieces of each word; <unk> for a word that has none or too many. A tokenizer without <unk> spells every word: of
        one that is too long the first pieces stay. Raises ExampleError for one that has none."""
        words = list(found.pieces)
        for index, pieces in enumerate(words):
            if 0 < len(pieces) <= room or (not pieces and found.shares[index]):
                continue
            if unknown is not None:
                words[index] = [unknown]
            elif pieces:
                words[index] = pieces[:room]
            else:
                what = f"word {index + 1} ({example.words[index]!r}) has no piece, and the tokenizer knows no <unk>"
                raise ExampleError(number, what)
        return words

    def word_starts(self, row: Row) -> np.ndarray:
        starts: np.ndarray = row["words"]
        return starts

    def moved(self, row: Row, new: Rewritten) -> Row:
        return {**super().moved(row, new), "words": new.places[row["words"]]}

    def targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        starts = np.cumsum([0, *(len(row["tokens"]) for row in rows)])[:-1]
        words = np.concatenate([row["words"] + start for row, start in zip(rows, starts, strict=True)])
        labels = np.concatenate([row["labels"] for row in rows])
        return {
            "words": torch.from_numpy(words.astype(np.int64)),
            "labels": torch.from_numpy(labels.astype(np.int64)),
            "words_of_row": torch.tensor([len(row["words"]) for row in rows]),
        }

    def head(self, width: int, dropout: float) -> nn.Module:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, len(self.task.labels)))

    def select(self, batch: Batch) -> Tensor:
        return batch.targets["words"]

    def count(self, batch: Batch) -> int:
        return len(batch.targets["labels"])

    def row_of(self, batch: Batch) -> Tensor:
        return batch.token_row[batch.targets["words"]]

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        return cross_entropy(outputs.float(), batch.targets["labels"], reduction="none")

    def log_probabilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(words, labels)"""
        return outputs.float().log_softmax(-1)

    def predict(self, outputs: Tensor, batch: Batch) -> list[np.ndarray]:
        tags = outputs.argmax(-1).to(torch.int16).cpu()
        return [part.numpy() for part in tags.split(batch.targets["words_of_row"].tolist())]

    def finish(self, predictions: Sequence[np.ndarray], rows: PreparedColumns, examples: Sequence[Tagged]) -> list[list[str]]:
        sentences: list[list[str]] = [[] for _ in examples]
        for example, tags in zip(rows.column("example"), predictions, strict=True):
            sentences[example].extend(self.task.labels[tag] for tag in tags)
        return sentences

    def gold(self, examples: Sequence[Tagged]) -> list[tuple[str, ...]] | None:
        return [example.tags for example in examples if example.tags is not None] or None


def _chunks(lengths: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """(first, last) word ranges whose sub-words fit into `room`, as few as possible, in order."""
    first = used = 0
    for index, length in enumerate(lengths):
        if used + length > room:
            yield first, index
            first, used = index, 0
        used += length
    yield first, len(lengths)
