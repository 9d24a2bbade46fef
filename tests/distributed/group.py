"""A process group that lives for the whole test run: starting one costs seconds of imports, a case in it a fraction of one.

Run as a script it is one rank: it reads a case as a JSON line, runs the function of that name, which is in cases.py or, for
"module.function", in another module of this folder, and writes its result.
"""

import gc
import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CASE_SECONDS = 240  # a hang fails here; machines under load are slow


class Group:
    """`world` ranks over gloo; `run` starts a case on all of them and gives what each rank returned."""

    def __init__(self, world: int, **variables: str) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        self.ranks = [
            subprocess.Popen(
                [sys.executable, str(Path(__file__)), "rank"],
                env={
                    **os.environ,
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(world),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "OMP_NUM_THREADS": "1",
                    "DS_ACCELERATOR": "cpu",
                    **variables,
                    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]

    def run(self, case: str, **arguments: Any) -> list[Any]:
        for process in self.ranks:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"case": case, "arguments": arguments}) + "\n")
            process.stdin.flush()
        results = []
        for rank, process in enumerate(self.ranks):
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], CASE_SECONDS)
            line = process.stdout.readline() if ready else ""
            if not line:
                self.close()
                raise AssertionError(f"rank {rank} {'died' if ready else 'hung'} in {case}({arguments})")
            results.append(json.loads(line))
        failed = [result["error"] for result in results if "error" in result]
        assert not failed, "\n".join(failed)
        return [result["value"] for result in results]

    def close(self) -> None:
        for process in self.ranks:
            process.kill()
            process.wait()


def _serve() -> None:
    import traceback
    from importlib import import_module

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print goes to stderr; stdout carries results only
    import torch

    from xdist.run import distributed, worker

    worker.quiet()
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
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]
    _serve()
