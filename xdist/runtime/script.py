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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from xdist.config import Run, load_run
from xdist.data.fetched import found_model
from xdist.data.prepare import Preparation
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import OwnError, RankError, RunError, UserError
from xdist.runtime import distributed, heartbeat, run_folder
from xdist.runtime.lock import RunLock
from xdist.runtime.progress import say
from xdist.runtime.run_folder import MARKS, RunFolder, State
from xdist.runtime.stopping import SIGNALS
from xdist.runtime.together import on_each, on_first, summary

USER_ERROR = 2
ONLY_STEP = "--only-step="
SAYING = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Claim:
    """What every rank knows of its start's hold on the run folder: what the lock says, and the state that was found."""

    record: dict[str, Any]
    found: State


_claim: Claim | None = None


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
            _answer_signals(signal.SIG_IGN)
            _mark_failed(run, f"{run_folder.USER_ERROR}{error}")
            say(f"xdist: {error}")
        else:
            _let_say(USER_ERROR)
        _leave(USER_ERROR)
    except RunError as error:
        if first or isinstance(error, RankError):
            _answer_signals(signal.SIG_IGN)
            _mark_failed(run, str(error))
            say(f"xdist: {error}")
        else:
            _let_say(1)
        _leave(1)
    except Exception as error:
        _answer_signals(signal.SIG_IGN)
        if end := heartbeat.told() if isinstance(error, RuntimeError) else None:
            end_for(run, end)
        _mark_failed(run, f"rank {distributed.rank()}: {summary(error)}")
        say(traceback.format_exc())
        _leave(1)
    distributed.shutdown()


def join(run: Run, *looks: Callable[[], object]) -> None:
    """Join the process group, after rank 0 looked whether the folder holds another run, and at what else forbids the start.

    All ranks raise what that raised; rank 0 alone where the group cannot be joined, since a run at work in the folder may have
    the port that this start was given."""
    wrong: UserError | RunError | None = None
    if distributed.rank() == 0:
        try:
            RunFolder(run.folder).check(run)
            for look in looks:
                look()
        except (UserError, RunError) as error:
            wrong = error
    try:
        distributed.init()
    except Exception:
        if wrong:
            raise wrong from None
        raise
    on_first(lambda: _raise(wrong))


def claim(run: Run, what: str, *looks: Callable[[], object]) -> RunLock:
    """Join the process group as `join` does, and take the folder for this start, on rank 0 for all, until `release` or the end
    of rank 0. Every rank raises BusyError where somebody works in the folder, and what `join` raises."""
    global _claim
    folder, lock = RunFolder(run.folder), RunLock(run.folder)
    join(run, lock.check, *looks)
    _claim = on_first(lambda: Claim(lock.take(what), folder.state))
    return lock


def prepared(run: Run, train: bool = True) -> Preparation:
    """The prepared sets of the run, which the ranks share the making of. Collective. Raises UserError on every rank alike, but
    for a row that only one of them reads."""
    preparation = on_each(lambda: Preparation(run, load_tokenizer(found_model(run).backbone), train))
    preparation.make_share(distributed.rank(), distributed.world())
    return preparation


def only_step() -> int | None:
    """The step that `--only-step=N` asks for."""
    return next((int(text.removeprefix(ONLY_STEP)) for text in sys.argv[1:] if text.startswith(ONLY_STEP)), None)


def end_for(run: Run | None, end: heartbeat.End) -> None:
    """End this rank because another one died or left, which is said unless the run's folder says already how it ended."""
    try:
        state = RunFolder(run.folder).state if run is not None else "new"
        over = state in MARKS and _claim is not None and state != _claim.found
        if end.dead and not over:
            _mark_failed(run, end.dead)
            say(f"xdist: {end.dead}; ending rank {distributed.rank()}")
    finally:  # also where the folder cannot be looked at
        _leave(end.code)


def quiet() -> None:
    """Only warnings from the libraries; xdist's own messages on rank 0."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("xdist").setLevel(logging.INFO if distributed.rank() == 0 else logging.WARNING)
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")


def _mark_failed(run: Run | None, reason: str) -> None:
    """Say in the folder, where it has room, why the run ended; only where a run has begun and the folder is this start's."""
    if run is None or only_step() is not None:
        return
    folder = RunFolder(run.folder)
    with suppress(OSError):
        if folder.state == "running" and _is_ours(run):
            folder.mark("failed", reason)


def _is_ours(run: Run) -> bool:
    """Whether this start holds the folder; before it has asked for it, whether nobody does and it holds this very run."""
    lock = RunLock(run.folder)
    if _claim:
        return lock.record() == _claim.record
    with suppress(UserError):
        RunFolder(run.folder).check(run)
        return lock.free()
    return False


def _raise(error: Exception | None) -> None:
    if error:
        raise error


def _answer_signals(how: Any) -> None:
    """Launchers send them as soon as one rank has left; one that has something to say does not mind them."""
    for number in SIGNALS:
        signal.signal(number, how)


def _let_say(code: int) -> None:
    """Stay until the launcher, or the watch, ends this rank, with the code of the one that says what is wrong: a launcher ends
    all as soon as one leaves, and that is to be the one that says it."""
    _answer_signals(lambda number, frame: os._exit(code))
    time.sleep(SAYING)


def _leave(code: int) -> None:
    """End at once: a rank that waits for its peers in an exit handler would hang where they have failed."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    heartbeat.tell(code)
    os._exit(code)
