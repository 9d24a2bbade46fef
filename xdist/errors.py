"""The errors a user is meant to see: one line, no traceback, nothing in it that a terminal would obey."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches
from unicodedata import category

LINE = 2000  # characters of a message
WORD = 300  # of what is in it without a blank
VALUE = 120  # of a value that a user gave
# Line ends, control characters, halves of surrogate pairs; and what turns the direction of text on a terminal.
ESCAPED = {"Cc", "Cs", "Zl", "Zp"}
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str) -> str:
    """`text` as a line of bounded length that any terminal shows and none obeys."""
    words = [_middle_out(word, WORD) for word in text[: 8 * LINE].split(" ")]
    shown = "".join(_escaped(letter) for letter in " ".join(words).strip())
    return _middle_out(shown, LINE)


def cut(value: object, most: int = VALUE) -> str:
    """A value as messages show it: the beginning of a long one."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _middle_out(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 3 :]}"


def _escaped(letter: str) -> str:
    if letter in TURNING or category(letter) in ESCAPED:
        return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
    return letter


class Told(Exception):
    """A text in one line, from any object."""

    def __str__(self) -> str:
        return one_line(Exception.__str__(self))  # a KeyError shows its message in quotes


class UserError(Told):
    """Something the user gave is wrong: exit code 2. The message is one line: where (file:line or key), what, what is valid."""

    told = False  # whether the user has read the line already, since ranks said it


class OwnError(UserError):
    """The same where one rank alone may have met it: it says so itself."""


class BusyError(UserError):
    """Another process works on the run: nothing is wrong with it, and its folder is not to say so."""


class RunError(Told):
    """A run cannot continue for a reason that is not in its description: a full disk, a dead rank. One line; exit code 1, not
    2."""

    told = False  # as of UserError


class RankError(RunError):
    """The same where one rank alone cannot continue: it says so itself."""


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


# Something that a disk or a machine lacks, not an error in a file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_GIVEN = (*NO_ROOM, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ETIMEDOUT)
IN_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")  # of libraries that raise their own errors


def not_given(error: BaseException) -> str:
    """What the disk or the machine did not give, in a line that names the file where that is known; "" where `error` is of
    another kind."""
    if isinstance(error, OSError) and error.errno in NOT_GIVEN:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    lines = str(error).splitlines()
    return next((line for line in lines if any(words in line for words in IN_WORDS)), "")


def unknown(kind: str, name: object, valid: Iterable[object]) -> str:
    """'unknown task 'xnlj': did you mean 'xnli'? (valid: …)' — the wording of every such error."""
    name = cut(name)
    names = sorted({str(value) for value in valid})
    close = get_close_matches(name, names, n=5, cutoff=0.5)
    # Of equally close names the one with the same first letter: for 'sv' rather 'sw' than 'vi'.
    close.sort(key=lambda other: (-SequenceMatcher(None, other, name).ratio(), other[:1] != name[:1]))
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"unknown {kind} '{name}': {hint}(valid: {', '.join(names)})"


def shown(line: str) -> str:
    """The beginning of a line in a message, tabs and control characters escaped."""
    return repr(line if len(line) <= 60 else f"{line[:60]}…")
