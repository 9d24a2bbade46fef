"""A process group that exists for the complete test run: a case in it costs a fraction of what starting one does."""

import atexit
import gc
import json
import os
import select
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Any

from distributed.tensors import packed, unpacked
from loaded import Loaded, Process

ROOT = Path(__file__).resolve().parents[2]
SERVES = "from distributed.group import serve\nserve()"
CASE_SECONDS = 240  # a hang fails here; machines under load are slow


class Group:
    """`world` ranks over gloo; `run` starts a case on all of them and gives what each rank returned: JSON and
    tensors, whose numbers come in one line."""

    def __init__(self, world: int, **variables: str) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        where = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        self.ranks = [process(SERVES, RANK=str(rank), LOCAL_RANK=str(rank), **where, **variables) for rank in range(world)]
        self._known: dict[str, list[Any]] = {}

    def once(self, case: str, **arguments: Any) -> list[Any]:
        """As `run`, of a case that changes nothing: done once for all tests that need the same."""
        asked = json.dumps([case, arguments], sort_keys=True)
        if asked not in self._known:
            self._known[asked] = self.run(case, **arguments)
        return self._known[asked]

    def run(self, case: str, **arguments: Any) -> list[Any]:
        for process in self.ranks:
            process.stdin.write(json.dumps({"case": case, "arguments": arguments}) + "\n")
            process.stdin.flush()
        results = []
        for rank, process in enumerate(self.ranks):
            ready, _, _ = select.select([process.stdout], [], [], CASE_SECONDS)
            line = process.stdout.readline() if ready else ""
            if not line:
                self.close()
                raise AssertionError(f"rank {rank} {'died' if ready else 'hung'} in {case}({arguments})")
            results.append(json.loads(line, object_hook=unpacked))
        failed = [result["error"] for result in results if "error" in result]
        assert not failed, "\n".join(failed)
        return [result["value"] for result in results]

    def close(self) -> None:
        for process in self.ranks:
            process.close()


@cache
def loaded() -> Loaded:
    """What all groups of this test run are forked from."""
    made = Loaded(("distributed.cases", "xdist.run.heartbeat", "xdist.run.worker"))
    atexit.register(made.close)
    return made


def process(program: str, *words: str, stderr: bool = False, **variables: str) -> Process:
    """A process that has imported what ranks need, on one thread of the CPU; it does lines of Python."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    known = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "PYTHONPATH": path}
    return Process(loaded(), program, *words, variables={**known, **variables}, stderr=stderr)


def serve() -> None:
    """One rank: reads a case as a JSON line, does the function of that name, which is in cases.py or, for "module.function", in
    another module of this folder, and writes its result."""
    import traceback
    import warnings
    from importlib import import_module

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # all that libraries print goes to stderr; stdout carries results only
    import torch

    from xdist.run import distributed, worker

    worker.quiet_libraries()
    for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):  # as pyproject.toml has it of other tests
        warnings.filterwarnings("error", category=category, module=r"xdist|distributed\.")
    torch.set_num_threads(1)
    distributed.init(timeout_minutes=1)
    import_module("distributed.cases")
    gc.freeze()  # as worker.main does: a case ends with a collection
    for line in sys.stdin:
        request = json.loads(line)
        try:
            module, _, function = request["case"].rpartition(".")
            case = getattr(import_module(f"distributed.{module or 'cases'}"), function)
            answer = {"value": case(**request["arguments"])}
            gc.collect()
            gc.freeze()  # later collections need not look through what stays
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer, default=packed) + "\n")
        answers.flush()
