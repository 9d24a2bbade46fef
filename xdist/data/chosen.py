"""Some examples of a prepared set, chosen by the seed: what a few labelled sentences of a language buy.

Which ones depends on the seed and on how many examples there are, on no tokenizer: every encoder learns from the same, and
where the sets of several languages are translations of each other, every language from the same sentences. They are drawn at
random, not by class, as the classes are not known before the labelling; the log shows how many of each were drawn.
"""

from functools import cached_property
from typing import Any

import numpy as np

from xdist.data.permutation import key_of, permute
from xdist.data.shards import Rows

ROWS = 0x726F7773  # "rows" in ASCII: a number that no epoch has, so that this order is none of the plan's


class ChosenRows:
    """The rows of `asked` examples of `shards`, in their order there; those of a smaller number are among them."""

    def __init__(self, shards: Rows, asked: int, seed: int) -> None:
        self._shards, self._seed = shards, seed
        of_row = shards.column("example")
        examples = np.unique(of_row)
        self.of = len(examples)
        first = np.arange(min(asked, self.of))
        self.examples = np.sort(examples[permute(first, self.of, key_of(seed, ROWS))])
        self._rows = np.flatnonzero(np.isin(of_row, self.examples))

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> dict[str, Any]:
        return self._shards.row(int(self._rows[number]))

    def column(self, name: str) -> np.ndarray:
        """A scalar column over all rows, or a list column, the lists one after another."""
        return np.concatenate([np.atleast_1d(self.row(number)[name]) for number in range(len(self))])

    @cached_property
    def tokens(self) -> np.ndarray:
        """(rows,) tokens of each row."""
        return self.lengths(np.arange(len(self)))

    @property
    def mean_tokens(self) -> float:
        return float(self.tokens.mean())

    def length(self, number: int) -> int:
        return self._shards.length(int(self._rows[number]))

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        return self._shards.lengths(self._rows[numbers])

    def used(self) -> np.ndarray:
        """The sorted ids that occur in the rows."""
        return np.unique(self.column("tokens"))

    def describe_choice(self, labels: tuple[str, ...]) -> str:
        """How many were chosen of how many, and of each class where an example has one."""
        text = f"{len(self.examples):,} of {self.of:,} examples, chosen by seed {self._seed}"
        if not labels or "label" not in self.row(0):
            return text
        counts = np.bincount(self.column("label"), minlength=len(labels))
        return f"{text} ({', '.join(f'{label} {count}' for label, count in zip(labels, counts, strict=True))})"
