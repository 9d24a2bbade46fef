"""Languages: who they are (`codes`), and how much of each an encoder has read (`pretraining`)."""

from collections.abc import Iterable

from xdist.languages.codes import Language, found, language, same
from xdist.languages.pretraining import CC100, GROUPS, UNKNOWN, Pretraining

__all__ = [
    "CC100",
    "GROUPS",
    "LANGUAGES",
    "UNKNOWN",
    "Language",
    "Pretraining",
    "by_size",
    "found",
    "language",
    "same",
]

# The fifty of XTREME-R, from least to most text in CC-100.
_FIFTY = """
    ht qu wo yo jv pa af sw gu eu my mr tl te ur et kk az ml bn ms ka ta lt hi tr ar nl it he pl el pt es ko
    fi fr bg hu ro zh de ja th uk fa vi id ru en
"""
LANGUAGES: tuple[str, ...] = tuple(_FIFTY.split())


def by_size(codes: Iterable[str]) -> list[str]:
    """`codes` from least to most text in CC-100, those outside the fifty first: the order of files and tables."""
    order = {code: position for position, code in enumerate(LANGUAGES)}
    return sorted(codes, key=lambda code: (order.get(code, -1), code))
