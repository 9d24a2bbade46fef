"""What a check says."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`bad`: runs will fail; `note`: they may be slow, or fail in some settings. `do` is what to do about it, '' where nothing
    is to be done; `host` where it was found."""

    check: str
    level: Level
    says: str
    do: str = ""
    host: str = ""


def size(number: float) -> str:
    """'1.5 GB' of a number of bytes."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number / 1e3:.3g} kB"
