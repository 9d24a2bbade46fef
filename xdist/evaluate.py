"""Evaluate a run's model, or a backbone that needs no training, on all tasks and languages that it names:

    deepspeed --num_accelerators 2 xdist/evaluate.py RUN.yaml [a.b=c …]      (torchrun and srun work as well)

What is scored already is not computed again. Asked to stop, it ends after its batch and keeps what is predicted; started
again, it resumes there.
"""

import gc
import sys
from pathlib import Path

if __name__ == "__main__":
    gc.disable()  # until worker.main: what imports make stays, and collections would look through it again and again
    # A script's own folder comes first on sys.path, where xdist's rooms would shadow installed packages.
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]
    from xdist.run import worker

    worker.settle_device()  # before DeepSpeed looks for one when it is imported

from xdist.config import Run
from xdist.resolve.assembly import Assembly
from xdist.resolve.leaving import leave
from xdist.resolve.resolved import Resolved, resolve
from xdist.run import distributed, lacking, worker
from xdist.run.folder import RunFolder
from xdist.run.heartbeat import Heartbeat
from xdist.run.together import on_first


def work(run: Run) -> None:
    folder = RunFolder(run.folder)
    lock, found = worker.claim(folder, "xdist evaluate", lambda: resolve(run, "evaluate").found)
    parts = Assembly(Resolved.of(run, found))
    beats = Heartbeat(worker.end_for)
    preparation = parts.prepare("evaluate")
    on_first(lambda: folder.go_on() if folder.environment.exists() else parts.open_folder())
    if run.merge:
        parts.merge()
    with lacking.doing(lacking.EVALUATING):
        finished = parts.evaluate(preparation)
    beats.finish()
    if distributed.rank() == 0:
        folder.mark("finished" if finished else "unfinished")
        if finished:
            leave(folder, run.runtime.keep_finished, run.name, parts.resolved.subsets.evaluation if run.evaluate else ())
        lock.release()


if __name__ == "__main__":
    worker.main(work, __doc__ or "")
