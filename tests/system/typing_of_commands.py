"""The type of the fixture that runs a command."""

import subprocess
from collections.abc import Callable

Typed = Callable[..., subprocess.CompletedProcess[str]]
