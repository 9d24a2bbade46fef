"""The errors a user is meant to see: one line, no traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches


class UserError(Exception):
    """Something the user gave is wrong: exit code 2. The message is one line: where (file:line or key), what, what is valid."""

    told = False  # whether the user has read the line already, since ranks said it


class OwnError(UserError):
    """The same where one rank alone may have met it: it says so itself."""


class BusyError(UserError):
    """Another process works on the run: nothing is wrong with it, and its folder is not to say so."""


class RunError(Exception):
    """A run cannot go on through no mistake in its description: a full disk, a dead rank. One line; exit code 1, not 2."""

    told = False  # as of UserError


class RankError(RunError):
    """The same where one rank alone cannot go on: it says so itself."""


@contextmanager
def own() -> Iterator[None]:
    """What is wrong inside may not be met by the other ranks."""
    try:
        yield
    except UserError as error:
        raise OwnError(str(error)) from None


@contextmanager
def writing(folder: object) -> Iterator[None]:
    """What cannot be written into `folder` inside, as where its disk is full, is one line. Raises RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{folder}: cannot be written to: {error.strerror}") from None


def unknown(kind: str, name: object, valid: Iterable[object]) -> str:
    """'unknown task 'xnlj': did you mean 'xnli'? (valid: …)' — the wording of every such error."""
    names = sorted({str(value) for value in valid})
    close = get_close_matches(str(name), names, n=5, cutoff=0.5)
    # Of equally close names the one with the same first letter: for 'sv' rather 'sw' than 'vi'.
    close.sort(key=lambda other: (-SequenceMatcher(None, other, str(name)).ratio(), other[:1] != str(name)[:1]))
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"unknown {kind} '{name}': {hint}(valid: {', '.join(names)})"
