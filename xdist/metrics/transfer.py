"""The matrix of generalized cross-lingual transfer: the first sentence in one language, the second in another.

XNLI and PAWS-X in all ordered pairs of their languages (Yu et al. 2021, arXiv 2104.08645). The diagonal is the ordinary
setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdist.errors import UserError
from xdist.languages import by_size, is_english, pair_of


@dataclass(frozen=True, slots=True)
class Transfer:
    """`matrix` [n, n]: scores from 0 to 100, the row is the language of the first sentence, the column that of the second;
    NaN where a pair has no score. Languages go from least to most pre-training text."""

    languages: tuple[str, ...]
    matrix: NDArray[np.float64]

    @property
    def means(self) -> dict[str, float]:
        """Unweighted means over the pairs that have a score: `diagonal`, `off_diagonal`, and over the pairs of English with
        another language `english_first`, `english_second`. A mean over no pair is left out."""
        same = np.eye(len(self.languages), dtype=bool)
        english = np.array([is_english(code) for code in self.languages])
        cells = {
            "diagonal": same,
            "off_diagonal": ~same,
            "english_first": english[:, None] & ~same,
            "english_second": english[None, :] & ~same,
        }
        found = {name: self.matrix[where & ~np.isnan(self.matrix)] for name, where in cells.items()}
        return {name: float(values.mean()) for name, values in found.items() if len(values)}


def transfer_matrix(scores: Mapping[str, Mapping[str, float]], number: str = "accuracy") -> Transfer:
    """The matrix of one number of `scores`: {"en-de": {"accuracy": 80.0, …}, …}, as `scores.json` has them for mixed pairs.
    Raises UserError for a key that is not two codes."""
    pairs = {}
    for key, values in scores.items():
        codes = pair_of(key)
        if codes is None:
            raise UserError(f"'{key}' is no pair of languages such as 'en-de'")
        pairs[codes] = values.get(number, np.nan)
    languages = tuple(by_size({code for codes in pairs for code in codes}))
    matrix = np.array([[pairs.get((first, second), np.nan) for second in languages] for first in languages], dtype=np.float64)
    return Transfer(languages, matrix)
