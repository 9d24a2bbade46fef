"""Processes that make batches for a rank: rewriting rows is Python, which would hold up the rank's own.

They are forked, as a DataLoader's are: what a rank has read, mapped and looked up is available at once and in memory once.
Which batches a step has is a function of its number, so they are the same from any process. A process ends when the rank closes
it or dies.
"""

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import torch

from xdist.errors import RankError


class Workers:
    """`made(number)` by one of `count` processes, each for one caller at a time."""

    def __init__(self, make: Callable[[int], Any], count: int) -> None:
        self._workers = [_Worker(make) for _ in range(count)]

    def __call__(self, number: int) -> Any:
        """What `make` gives; raises what it raises, or RankError where a process has died."""
        return self._workers[number % len(self._workers)](number)

    def close(self) -> None:
        for worker in self._workers:
            worker.here.close()
        for worker in reversed(self._workers):  # one has the ends of those before it too, and they wait for it to let go
            os.waitpid(worker.process, 0)


class _Worker:
    def __init__(self, make: Callable[[int], Any]) -> None:
        self.here, far_end = Pipe()
        self._asking = threading.Lock()
        self.process = os.fork()
        if self.process == 0:
            self.here.close()
            _serve(make, far_end)
        far_end.close()

    def __call__(self, number: int) -> Any:
        with self._asking:
            try:
                self.here.send(number)
                good, answer = pickle.loads(self.here.recv_bytes())
            except (OSError, EOFError):
                raise RankError("a process that puts rows into other words has died (runtime.rewriters)") from None
        if not good:
            raise answer
        return answer


def _serve(make: Callable[[int], Any], connection: Connection) -> None:
    """In the new process, until the other end is closed. It leaves by itself: what the rank would do at its end is not its."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # a rank that has to stop still needs its batches
    # Threads of libraries are not in a forked process.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    try:
        while True:
            connection.send_bytes(_answer(make, connection.recv()))
    except (OSError, EOFError):
        os._exit(0)
    finally:
        os._exit(1)


def _answer(make: Callable[[int], Any], number: int) -> bytes:
    try:
        return pickle.dumps((True, make(number)), protocol=5)
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            return pickle.dumps((False, error))
        except Exception:  # of a kind that cannot be sent
            return pickle.dumps((False, RuntimeError(traceback.format_exc())))
