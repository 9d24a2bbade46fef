"""What one rank alone does or finds wrong reaches all: its result, or its error, with which all end.

A rank that left by itself would look like a crash to the others, which would wait for it in their next collective.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from xdist.errors import BusyError, RunError, UserError
from xdist.run import distributed

T = TypeVar("T")


def on_first(function: Callable[[], T]) -> T:
    """What `function` returns on rank 0, which alone calls it, on every rank. Collective.

    What it raises is raised on every rank: errors that users are meant to see as they are, any other as it is on rank 0 and as
    a RunError elsewhere."""
    if distributed.world() == 1:
        return function()
    value: Any = None
    error: Exception | None = None
    if distributed.rank() == 0:
        try:
            value = function()
        except Exception as caught:
            error = caught
    value, told = distributed.agree((value, error and _error_of_rank(error, 0)))
    agreed: T = _all_or_none(value, error, told)
    return agreed


def on_each(function: Callable[[], T]) -> T:
    """What `function` returns on this rank, if it returns on all of them; else every rank raises what the first that failed
    did, named where it was not rank 0, as `on_first` does. Collective."""
    if distributed.world() == 1:
        return function()
    value: Any = None
    error: Exception | None = None
    try:
        value = function()
    except Exception as caught:
        error = caught
    found = distributed.gather_on_first(error and _error_of_rank(error, distributed.rank()))
    told = distributed.agree(next(filter(None, found), None) if found is not None else None)
    agreed: T = _all_or_none(value, error, told)
    return agreed


def _error_of_rank(error: Exception, rank: int) -> UserError | RunError:
    """The error as the other ranks raise it, and all say it once."""
    where = f" (rank {rank} on host {socket.gethostname()})" if rank else ""
    for kind in (BusyError, UserError, RunError):
        if isinstance(error, kind):
            return kind(f"{error}{where}")
    return RunError(f"rank {rank}: {summary(error)}")


def summary(error: Exception) -> str:
    """Kind and first line of an error that no user is meant to see."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _all_or_none(value: Any, own: Exception | None, told: UserError | RunError | None) -> Any:
    if told is None:
        return value
    with suppress(RuntimeError):  # one that has heard it may be gone already
        distributed.barrier()  # no rank leaves before all have received it
    raise own if own and not isinstance(own, UserError | RunError) else told
