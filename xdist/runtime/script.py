"""What the worker scripts share: arguments as the deepspeed launcher passes them, quiet logs, one line for a user's error."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from transformers.utils import logging as transformers_logging

from xdist.config import Run, load_run
from xdist.errors import UserError
from xdist.runtime import distributed, run_folder
from xdist.runtime.run_folder import RunFolder

USER_ERROR = 2


def main(work: Callable[[Run], None], usage: str) -> None:
    """Load the run named on the command line and `work` on it. Exits 2 on a user's error, 1 on a broken run."""
    arguments = [text for text in sys.argv[1:] if not text.startswith("--local_rank")]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        sys.exit(0 if arguments else USER_ERROR)
    quiet()
    first = distributed.rank() == 0
    run = None
    try:
        run = load_run(Path(arguments[0]), arguments[1:])
        work(run)
    except UserError as error:
        if first:
            print(f"xdist: {error}", file=sys.stderr, flush=True)
            _mark_failed(run, f"{run_folder.USER_ERROR}{error}")
        _leave(USER_ERROR)
    except Exception as error:
        traceback.print_exc()
        _mark_failed(
            run,
            f"rank {distributed.rank()}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        )
        _leave(1)
    distributed.shutdown()


def quiet() -> None:
    """Only warnings from the libraries; xdist's own messages on rank 0."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("xdist").setLevel(logging.INFO if distributed.rank() == 0 else logging.WARNING)
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")


def _mark_failed(run: Run | None, reason: str) -> None:
    """Say in the folder why the run ended; a folder that is not (yet) this run's own is left alone."""
    if run is None:
        return
    folder = RunFolder(run.folder)
    if folder.state == "running":
        folder.mark("failed", reason)


def _leave(code: int) -> None:
    """End at once: a rank that waits for its peers in an exit handler would hang where they have failed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
