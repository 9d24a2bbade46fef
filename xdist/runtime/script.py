"""What the worker scripts share: arguments as the deepspeed launcher passes them, quiet logs, one line for a user's error."""

import gc
import logging
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from transformers.utils import logging as transformers_logging

from xdist.config import Run, load_run
from xdist.errors import BusyError, OwnError, RankError, RunError, UserError
from xdist.runtime import distributed, heartbeat, run_folder
from xdist.runtime.progress import say
from xdist.runtime.run_folder import RunFolder
from xdist.runtime.stopping import SIGNALS

USER_ERROR = 2
ONLY_STEP = "--only-step="
SAYING = 20.0  # seconds


def main(work: Callable[[Run], None], usage: str) -> None:
    """Load the run named on the command line and `work` on it. Exits 2 on a user's error, 1 on a broken run. Why is written
    into the folder before it is said: the log may lie on the disk that is full."""
    arguments = [text for text in sys.argv[1:] if not text.startswith(("--local_rank", ONLY_STEP))]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        sys.exit(0 if arguments else USER_ERROR)
    quiet()
    gc.freeze()  # collections need not look through the libraries' 400,000 objects, which takes half a second
    gc.enable()
    first = distributed.rank() == 0
    run = None
    try:
        run = load_run(Path(arguments[0]), arguments[1:])
        distributed.check_devices()
        work(run)
    except UserError as error:
        if first or isinstance(error, OwnError):
            if not isinstance(error, BusyError):
                _mark_failed(run, f"{run_folder.USER_ERROR}{error}")
            say(f"xdist: {error}")
        else:
            _let_say()
        _leave(USER_ERROR)
    except RunError as error:
        if first or isinstance(error, RankError):
            _mark_failed(run, str(error))
            say(f"xdist: {error}")
        else:
            _let_say()
        _leave(1)
    except Exception as error:
        for number in SIGNALS:  # a launcher that has seen a rank die sends them; there is something to say first
            signal.signal(number, signal.SIG_IGN)
        if dead := heartbeat.verdict() if isinstance(error, RuntimeError) else "":
            end_for(run, dead)
        _mark_failed(
            run,
            f"rank {distributed.rank()}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        )
        say(traceback.format_exc())
        _leave(1)
    distributed.shutdown()


def only_step() -> int | None:
    """The step that `--only-step=N` asks for."""
    return next((int(text.removeprefix(ONLY_STEP)) for text in sys.argv[1:] if text.startswith(ONLY_STEP)), None)


def end_for(run: Run | None, dead: str) -> None:
    """End this rank because another one died, unless the run has said already how it ended."""
    if run is not None and RunFolder(run.folder).state == "running":
        _mark_failed(run, dead)
        say(f"xdist: {dead}; ending rank {distributed.rank()}")
    _leave(1)


def quiet() -> None:
    """Only warnings from the libraries; xdist's own messages on rank 0."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("xdist").setLevel(logging.INFO if distributed.rank() == 0 else logging.WARNING)
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")


def _mark_failed(run: Run | None, reason: str) -> None:
    """Say in the folder, where it has room, why the run ended; one that is not (yet) this run's own is left alone."""
    if run is None:
        return
    folder = RunFolder(run.folder)
    with suppress(OSError):
        if folder.state == "running":
            folder.mark("failed", reason)


def _let_say() -> None:
    """Stay until the launcher ends this rank: it ends all as soon as one leaves, and that is to be the one that says what is
    wrong."""
    time.sleep(SAYING)


def _leave(code: int) -> None:
    """End at once: a rank that waits for its peers in an exit handler would hang where they have failed."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)
