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
