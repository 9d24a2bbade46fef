"""How tokenizers take each language, from what the evaluation kept: three figures next to its group."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

MUCH = 5.0  # per cent of unknown pieces, from which on a language is named

HEADS = ("unknown %", "pieces/word", "changed %")
SAID = (
    "Unknown: share of pieces for text that is not in the vocabulary, for single bytes or for a part of a character. "
    "Pieces per word: words are parted by blanks; where the script puts none between words, pieces per letter or digit, with "
    "a c. Changed: rows that the tokenizer's Unicode form writes otherwise (NFC, in brackets, where it has none). Of at most "
    "1,000 rows of each test set."
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Counts over the test sets of one language, as `xdist.evaluation.measuring` has them."""

    rows: int
    pieces: int
    unknown: int
    units: int
    per: str
    changed: int
    form: str
    applied: bool = True

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> "Measured":
        return cls(**{name: counts[name] for name in cls.__slots__ if name in counts})

    def plus(self, other: "Measured") -> "Measured":
        names = ("rows", "pieces", "unknown", "units", "changed")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def unknown_share(self) -> float:
        """Per cent of the pieces."""
        return 100 * self.unknown / max(1, self.pieces)

    @property
    def fertility(self) -> float:
        """Pieces for each word, or each letter."""
        return self.pieces / max(1, self.units)

    @property
    def changed_share(self) -> float:
        """Per cent of the rows."""
        return 100 * self.changed / max(1, self.rows)

    @property
    def values(self) -> tuple[float, float, float]:
        return self.unknown_share, self.fertility, self.changed_share

    @property
    def shown(self) -> tuple[str, str, str]:
        changed = f"{self.changed_share:.0f}" if self.changed_share >= 1 or not self.changed else "<1"
        return (
            f"{self.unknown_share:.1f}",
            f"{self.fertility:.2f}" + ("c" if self.per == "character" else ""),
            changed if self.applied else f"({changed})",
        )

    @property
    def data(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "unknown_percent": round(self.unknown_share, 3),
            f"pieces_per_{self.per}": round(self.fertility, 4),
            "changed_percent": round(self.changed_share, 3),
            "form": self.form,
            "applied": self.applied,
        }


def add_counts(parts: Iterable[Measured]) -> Measured | None:
    """The counts of several test sets added up; None of none."""
    total: Measured | None = None
    for one in parts:
        total = one if total is None else total.plus(one)
    return total
