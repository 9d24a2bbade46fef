"""Evaluate a run's model, or a backbone that needs no training, on all tasks and languages that it names:

    deepspeed --num_accelerators 2 xdist/evaluate.py RUN.yaml [a.b=c …]      (torchrun and srun work as well)

What is scored already is not computed again.
"""

import gc
import sys
from pathlib import Path

gc.disable()  # until script.main: what imports make stays, and collections would look through it again and again

# A script's own folder comes first on sys.path, where xdist's rooms would shadow installed packages.
_here = Path(__file__).resolve().parent
sys.path[:] = [str(_here.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != _here)]

from xdist.config import Run  # noqa: E402
from xdist.resolve.assembly import Assembly  # noqa: E402
from xdist.resolve.resolved import Resolved, resolve  # noqa: E402
from xdist.runtime import distributed, script  # noqa: E402
from xdist.runtime.heartbeat import Heartbeat  # noqa: E402
from xdist.runtime.run_folder import RunFolder  # noqa: E402
from xdist.runtime.together import on_first  # noqa: E402


def work(run: Run) -> None:
    folder = RunFolder(run.folder)
    lock, found = script.claim(folder, "xdist evaluate", lambda: resolve(run, "evaluate").found)
    parts = Assembly(Resolved.of(run, found))
    beats = Heartbeat(script.end_for)
    preparation = parts.prepare("evaluate")
    on_first(lambda: None if folder.environment.exists() else parts.open_folder())
    parts.evaluate(preparation)
    if distributed.rank() == 0:
        folder.mark("finished")
        lock.release()
    beats.stop()
    distributed.barrier()


if __name__ == "__main__":
    script.main(work, __doc__ or "")
