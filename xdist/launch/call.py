"""Commands of a scheduler."""

import subprocess
from collections.abc import Sequence

from xdist.errors import UserError


def call(words: Sequence[str]) -> str:
    """What the scheduler's command prints. Raises UserError with its last line when it refuses or is not there."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{words[0]}: no such command on this machine; --dry-run shows the file without it") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{words[0]}: {lines[-1].removeprefix(f'{words[0]}: ').removeprefix('error: ')}")
    return done.stdout


def asked(words: Sequence[str], gone: str) -> str | None:
    """What the scheduler's command prints of a job; None where it knows no such job, which it says in a line with `gone`.
    Raises UserError when it does not answer: the job may be there."""
    try:
        return call(words)
    except UserError as error:
        if gone in str(error):
            return None
        raise


def unknown(error: UserError) -> str:
    """The state of a job whose scheduler did not answer: no end, so that nothing is taken for lost or submitted twice."""
    return f"UNKNOWN ({error})"
