"""Commands of a scheduler."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from xdist.errors import UserError


def call(words: Sequence[str], reads: Path | None = None) -> str:
    """What the scheduler's command prints, which `reads` a file, where one is given, as its input. Raises UserError with its
    last line when it refuses or is missing."""
    text = reads.read_text(encoding="utf-8") if reads else ""
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{words[0]}: no such command on this machine; --dry-run shows the file without it") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{words[0]}: {lines[-1].removeprefix(f'{words[0]}: ').removeprefix('error: ')}")
    return done.stdout


def query_job(words: Sequence[str], gone: str) -> str | None:
    """What the scheduler's command prints of a job; None where it knows no such job, which it says in a line with `gone`.
    Raises UserError when it does not answer: the job may be there."""
    try:
        return call(words)
    except UserError as error:
        if gone in str(error):
            return None
        raise
