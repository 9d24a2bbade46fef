"""What a rank could not have of its machine, memory or room on a disk, in a line that says while it did what."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from xdist.errors import not_given
from xdist.run import distributed

NO_MEMORY = ("can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED", "Cannot allocate memory")
NO_ROOM = 1 << 20  # bytes; with fewer a place is full
LOADING, EVALUATING = "preparing, loading or training", "evaluating"

places: dict[str, Path] = {}  # that a run writes to
_doing = LOADING


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory does not suffice, of a GPU or of the machine."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error) for words in NO_MEMORY)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Name what the block does."""
    global _doing
    before, _doing = _doing, what
    yield
    _doing = before  # not where it broke: who says why comes later


def reason(error: Exception) -> str:
    """The line; "" for an error of another kind, which takes a traceback to understand."""
    rank = f"rank {distributed.rank()}"
    if is_out_of_memory(error):
        more = "fewer runtime.ranks on this machine, or runtime.deepspeed=zero3 or zero3_offload"
        more = "a smaller runtime.eval_batch_tokens" if _doing == EVALUATING else more
        return f"{rank} ran out of memory while {_doing}; try {more}"
    if lacks := not_given(error):
        return f"{rank} could not continue while {_doing}: {lacks}{_full()}; make room, then start the run again"
    return ""


def _full() -> str:
    """Where no room is left, which an error of the system does not always say."""
    compiled = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or Path.home() / ".cache")
    full = []
    for name, place in {**places, "temporary files": Path(tempfile.gettempdir()), "compiled ops": compiled}.items():
        with suppress(OSError):
            there = os.statvfs(place)
            if there.f_bavail * there.f_frsize < NO_ROOM:
                full.append(f"{place} ({name})")
    return f"; no room in {', '.join(full)}" if full else ""
