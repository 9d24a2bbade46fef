"""Languages: who they are (`codes`), and how much of each an encoder has read (`pretraining`, `encoders`)."""

from collections.abc import Iterable

from xdist.languages.codes import (
    Language,
    are_pairs,
    by_diagonal,
    code_among,
    every_code,
    find_language,
    identity,
    is_english,
    language,
    pair_of,
    same_language,
    without,
)
from xdist.languages.pretraining import CC100, EVERY_GROUP, GROUPS, HEAD, NOBODY_KNOWS, SEEN, TAIL, UNKNOWN, Pretraining

__all__ = [
    "CC100",
    "EVERY_GROUP",
    "GROUPS",
    "HEAD",
    "LANGUAGES",
    "NOBODY_KNOWS",
    "SEEN",
    "TAIL",
    "UNKNOWN",
    "Language",
    "Pretraining",
    "are_pairs",
    "by_diagonal",
    "by_size",
    "code_among",
    "every_code",
    "find_language",
    "identity",
    "is_english",
    "language",
    "pair_of",
    "same_language",
    "without",
]

# The fifty of XTREME-R, from least to most text in CC-100.
_FIFTY = """
    ht qu wo yo jv pa af sw gu eu my mr tl te ur et kk az ml bn ms ka ta lt hi tr ar nl it he pl el pt es ko
    fi fr bg hu ro zh de ja th uk fa vi id ru en
"""
LANGUAGES: tuple[str, ...] = tuple(_FIFTY.split())
_PLACES = {code: place for place, code in enumerate(LANGUAGES)}


def by_size(codes: Iterable[str], read: Pretraining = CC100) -> list[str]:
    """`codes` from least to most text in `read`: the order of files (CC-100) and of an encoder's tables. What was not read, or
    is no language, comes first, languages read in unknown amounts between low and mid; of equal ones the fifty last."""

    def place(code: str) -> tuple[float, int, str]:
        size = read.size(code)
        middle = read.low if read.group(code) == SEEN else 0.0
        return middle if size is None else size, _PLACES.get(code, -1), code

    return sorted(codes, key=place)
