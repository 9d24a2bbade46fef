"""The type of the fixture that runs a command, and what of its output is not ours."""

import re
import subprocess
from collections.abc import Callable

Typed = Callable[..., subprocess.CompletedProcess[str]]
LIBRARIES = re.compile(
    r"DeepSpeed|\[deepspeed\]|transformers/|torch/|it/s\]|\[WARNING\]|Warning:|Writing model|Loading weights"
)


def of_libraries(text: str) -> list[str]:
    """The lines that a library said."""
    return [line for line in text.splitlines() if LIBRARIES.search(line)]
