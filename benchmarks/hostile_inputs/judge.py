"""What a reader did with an input, against what is right: accepted, or refused in one line; never a traceback, never a hang."""

import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from xdist.errors import RunError, UserError

LONGEST = 3000  # letters of a message
FREE = "free mutation"


@dataclass(frozen=True, slots=True)
class Input:
    """`act` reads what was just written. `refused`: whether it has to be, None where both are right, as of a mutation that
    was not examined. `says` is in the refusal, `right` is true of what an accepted one gave."""

    reader: str
    fault: str
    act: Callable[[], Any]
    refused: bool | None
    says: str = ""
    right: Callable[[Any], bool] = lambda found: True


Generator = Callable[[Random, Path], Iterator[Input]]
"""Inputs without end; each is written into the folder when it is requested, and read before the next one is."""


class HangError(BaseException):
    """Longer than an input may take; no Exception, so that no reader takes it for its own."""


@dataclass(slots=True)
class Tally:
    """By reader and by fault how many inputs there were; `examples` show the first of each kind of trouble."""

    inputs: Counter[str] = field(default_factory=Counter)
    faults: dict[str, set[str]] = field(default_factory=dict)
    trouble: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in TROUBLE})
    examples: dict[str, str] = field(default_factory=dict)

    def note(self, one: Input, trouble: str | None, said: str) -> None:
        self.inputs[one.reader] += 1
        self.faults.setdefault(one.reader, set()).add(one.fault)
        if trouble:
            self.trouble[trouble][one.reader] += 1
            where = said.splitlines()[-1] if trouble == "tracebacks" else ""
            self.examples.setdefault(f"{one.reader}: {one.fault}: {trouble} {where}"[:200], said)


TROUBLE = ("tracebacks", "hangs", "wrong")


def judged(one: Input, limit: float) -> tuple[str | None, str]:
    """(kind of trouble, or None; what was said of it)."""
    try:
        with _limited(limit):
            found = one.act()
    except HangError:
        return "hangs", f"longer than {limit} s"
    except (UserError, RunError) as error:
        said = str(error)
        if not said or len(said.splitlines()) != 1 or len(said) > LONGEST:
            return "wrong", f"not one line: {said[:500]!r}"
        if one.refused is False:
            return "wrong", f"refused: {said}"
        return ("wrong", f"does not say {one.says!r}: {said}") if one.refused and one.says not in said else (None, said)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic in Rust code is no Exception
        return "tracebacks", "".join(traceback.format_exception(error)[-4:])
    if one.refused:
        return "wrong", f"accepted: {found!r:.300}"
    if one.refused is False and not one.right(found):
        return "wrong", f"misread: {found!r:.500}"
    return None, ""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def over(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # again, since what is raised while an object is freed is lost
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(generators: dict[str, Generator], number: int, seed: int, place: Path, limit: float = 5.0) -> Tally:
    """`number` inputs, from each generator in turn; the same ones for the same `seed`."""
    tally = Tally()
    made = {name: generator(Random(f"{seed} {name}"), place / name) for name, generator in generators.items()}
    for name in generators:
        (place / name).mkdir(parents=True)
    names = list(made)
    for count in range(number):
        one = next(made[names[count % len(names)]])
        tally.note(one, *judged(one, limit))
    return tally
