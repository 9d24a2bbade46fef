"""A rank that is aborted from within ends with a word.

NCCL's watchdog, a thread of torch's own, sees first that a peer is gone and ends the process by `abort`, which
says nothing of who died. SIGABRT is therefore met here, in the thread that aborts and outside of Python's own handlers, which
only the main thread would run, once its collective returned: this thread is held until the heartbeat, which needs at most
`heartbeat.SILENCE`, has named the dead one and ended the process.
"""

import ctypes
import faulthandler
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

HANDLING, TEAR_DOWN, SKIP_CLEAN_UP = "TORCH_NCCL_ASYNC_ERROR_HANDLING", "1", "3"
HOLD = 60.0  # seconds; above what the heartbeat needs to name a rank that fell silent

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)
_installed: list[object] = []  # what C holds must not be collected


def leave_communicators() -> None:
    """Have NCCL's watchdog end the process without aborting its communicators before, which would let the main thread continue
    with invalid sums while this thread is held. Before the process group is made; another wish is respected."""
    if os.environ.get(HANDLING, TEAR_DOWN) == TEAR_DOWN:
        os.environ[HANDLING] = SKIP_CLEAN_UP


def on_abort(told: Callable[[float], None], last: Callable[[str], None]) -> None:
    """From now on a thread that aborts calls `told(HOLD)`, which ends the process if a reason to end comes within this many
    seconds, then `last` with what can be said without one, and then ends the process with the code of an abort."""
    first = threading.Lock()

    def met(number: int) -> None:
        if not first.acquire(blocking=False):
            threading.Event().wait()  # another thread aborts already
        try:
            told(HOLD)
            with suppress(OSError, ValueError, AttributeError):
                faulthandler.dump_traceback(all_threads=True)
            last(f"aborted ({signal.Signals(number).name}); what it printed before says why")
        finally:
            os._exit(128 + number)

    handler = _Handler(met)
    _installed.append(handler)
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = [ctypes.c_int, _Handler], ctypes.c_void_p
    library.signal(int(signal.SIGABRT), handler)
