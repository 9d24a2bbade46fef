"""What libraries say while a command or a rank works: errors alone. What a user has to know of it, xdist says itself."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

NAMES = ("accelerate", "datasets", "deepspeed", "huggingface_hub", "tensorboard", "tokenizers", "torch", "transformers")
ASKED = {  # what a user has set already stays
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


def silence() -> None:
    """For this process and those that it starts; called by commands and ranks, never by an import."""
    for name, value in ASKED.items():
        os.environ.setdefault(name, value)
    for name in NAMES:
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    deepspeed = logging.getLogger("DeepSpeed")  # a filter, since its import sets the level
    if _error not in deepspeed.filters:
        deepspeed.addFilter(_error)
    if "transformers" in sys.modules:  # which read the variables when it was imported
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()


def _error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


@contextmanager
def unprinted() -> Iterator[None]:
    """Inside, what is printed is dropped: DeepSpeed prints that it has built its collective."""
    with redirect_stdout(StringIO()):
        yield
