"""Generalized transfer without its files: rows of mixed language pairs, joined as they are read.

Every language is tokenised and written once, its texts uncut; row i of a pair takes its first text from row i of one language
and its second from row i of another. So the 225 pairs of 15 languages cost what the 15 languages cost.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from xdist.data.shards import Shards
from xdist.errors import UserError
from xdist.formats.examples import Classified
from xdist.tasks.catalog import Task
from xdist.tasks.family import COMMON_COLUMNS, Row

CELL_COLUMNS = {
    **COMMON_COLUMNS,  # `lengths`: tokens of the first text and of the second, without special tokens
    "label": pa.int16(),  # -1 without gold
    "left_out": pa.int8(),  # 1: no pair is made of this row
}


def encode_cells(examples: Iterable[Classified], task: Task, tokenizer: PreTrainedTokenizerBase) -> Iterator[Row]:
    """The rows of one language of `task.pairs_of`: the tokens of both texts, uncut and without special tokens."""
    numbers = {label: number for number, label in enumerate(task.labels)}
    source = iter(examples)
    number = 0
    while chunk := list(islice(source, 1000)):
        columns = [list(column) for column in zip(*(example.texts for example in chunk), strict=True)]
        encoded = [tokenizer(column, add_special_tokens=False, verbose=False)["input_ids"] for column in columns]
        for example, first, second in zip(chunk, *encoded, strict=True):
            yield {
                "example": number,
                "tokens": [*first, *second],
                "lengths": [len(first), len(second)],
                "cut": 0,
                "label": -1 if example.label is None else numbers[example.label],
                "left_out": int(task.left_out is not None and task.left_out(example)),
            }
            number += 1


class PairShards:
    """The rows of one ordered pair of languages, as `Shards` gives those of one language.

    `specials` are the tokens before, between and after two texts. A row of more than `max_length` tokens loses those at the
    end of its longer text first, as in the tokenizer. Raises UserError where the two sets are not parallel.
    """

    def __init__(self, first: Shards, second: Shards, specials: tuple[list[int], ...], max_length: int, name: str) -> None:
        if len(first) != len(second):
            raise UserError(f"{name}: {len(first)} and {len(second)} rows: the files are not parallel")
        self._rows = np.flatnonzero((first.column("left_out") == 0) & (second.column("left_out") == 0))
        label, other = (side.column("label")[self._rows] for side in (first, second))
        blanked = np.minimum(label, other) < 0
        differs = np.flatnonzero((label != other) & ~blanked)
        if len(differs):
            raise UserError(f"{name}: row {self._rows[differs[0]] + 1}: the labels differ: the files are not parallel")
        self._sides = (first, second)
        self._specials = specials
        self._columns = {"example": np.arange(len(self._rows)), "label": np.where(blanked, -1, label)}
        whole = [shards.column("lengths").reshape(-1, 2)[self._rows, side] for side, shards in enumerate(self._sides)]
        extra = sum(map(len, specials))
        self._kept = longest_first(whole[0], whole[1], max_length - extra)
        self.tokens = self._kept[0] + self._kept[1] + extra
        self.cut = whole[0] + whole[1] + extra - self.tokens

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def mean_tokens(self) -> float:
        return float(np.mean(self.tokens)) if len(self) else 0.0

    def length(self, number: int) -> int:
        return int(self.tokens[number])

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        lengths: np.ndarray = self.tokens[numbers]
        return lengths

    def used(self) -> np.ndarray:
        """The sorted ids that occur in the rows of both languages and round their texts, also where texts are cut."""
        ids = [side.used() for side in self._sides]
        return np.unique(np.concatenate([*ids, *(np.array(part, np.int64) for part in self._specials)]))

    def column(self, name: str) -> np.ndarray:
        return self._columns[name]

    def row(self, number: int) -> Row:
        first, second = (shards.row(int(self._rows[number])) for shards in self._sides)
        before, between, after = self._specials
        texts = (
            first["tokens"][: self._kept[0][number]],
            second["tokens"][second["lengths"][0] :][: self._kept[1][number]],
        )
        tokens = np.concatenate([before, texts[0], between, texts[1], after]).astype(np.int32)
        return {
            "example": number,
            "tokens": tokens,
            "lengths": np.array([len(tokens)], np.int32),
            "cut": self.cut[number],
            "label": self._columns["label"][number],
        }


def longest_first(first: np.ndarray, second: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """How many tokens of each text stay when both together may have `room`: the shorter stays complete as long as it is at most
    half of `room`, else each gets half, and an odd token goes to the longer (the fast tokenizers' `longest_first`)."""
    shorter = np.minimum(np.minimum(first, second), room // 2)
    longer = np.minimum(np.maximum(first, second), room - shorter)
    swapped = first > second
    return np.where(swapped, longer, shorter), np.where(swapped, shorter, longer)
