"""Generalized transfer without its files: rows of mixed language pairs, joined as they are read.

Every language is tokenised and written once, its two texts uncut; row i of a pair takes its first text from row i of one
language and its second from row i of another. So 225 pairs of 15 languages cost what 15 languages cost.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from xdist.data.shards import Shards
from xdist.errors import UserError
from xdist.formats.classification import untranslated
from xdist.formats.examples import Classified
from xdist.tasks.catalog import Task
from xdist.tasks.family import COMMON_COLUMNS, Row
from xdist.tasks.special_tokens import around_pair

CELL_COLUMNS = {
    **COMMON_COLUMNS,  # `lengths`: tokens of the first text and of the second, each with the special tokens before it
    "after": pa.int32(),  # special tokens that end the row
    "between": pa.int32(),  # special tokens before the second text
    "label": pa.int16(),
    "dropped": pa.int8(),  # 1: no pair with this row is read
}


def encode_cells(examples: Iterable[Classified], task: Task, tokenizer: PreTrainedTokenizerBase) -> Iterator[Row]:
    """Rows of one language of `task.pairs_of`, uncut, in the order of `examples`."""
    numbers = {label: number for number, label in enumerate(task.labels)}
    before, between, after = around_pair(tokenizer)
    source = iter(examples)
    number = 0
    while chunk := list(islice(source, 1000)):
        texts = [list(column) for column in zip(*(example.texts for example in chunk), strict=True)]
        firsts, seconds = (tokenizer(column, add_special_tokens=False, verbose=False)["input_ids"] for column in texts)
        for example, first, second in zip(chunk, firsts, seconds, strict=True):
            yield {
                "example": number,
                "tokens": [*before, *first, *between, *second, *after],
                "lengths": [len(before) + len(first), len(between) + len(second)],
                "cut": 0,
                "after": len(after),
                "between": len(between),
                "label": -1 if example.label is None else numbers[example.label],
                "dropped": task.drops_untranslated and untranslated(example),
            }
            number += 1


class PairShards:
    """The rows of one pair of languages, as `Shards` gives those of one language: longer rows than `max_length` lose tokens of
    the longer text first, as the tokenizer does it. Raises UserError where the two are not parallel."""

    lengths: ClassVar = ("first", "second")

    def __init__(self, first: Shards, second: Shards, max_length: int, name: str) -> None:
        self._first, self._second = first, second
        if len(first) != len(second):
            raise UserError(f"{name}: {len(first)} and {len(second)} rows: the files are not parallel")
        self._kept = np.flatnonzero((first.column("dropped") == 0) & (second.column("dropped") == 0))
        labels, other = first.column("label")[self._kept], second.column("label")[self._kept]
        if (labels != other).any():
            row = int(self._kept[np.flatnonzero(labels != other)[0]]) + 1
            raise UserError(f"{name}: row {row}: the labels differ: the files are not parallel")
        self._label = labels
        self._keep_first, self._keep_second, self._cut = self._fitted(max_length)
"""
