"""Train a run, then evaluate it if it says so. Started on every rank:

    deepspeed --num_accelerators 2 xdist/train.py RUN.yaml [a.b=c …]      (torchrun and srun work as well)

Started again, it resumes where it stopped; a finished run says so and does nothing.
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
from xdist.training import replay


def work(run: Run) -> None:
    folder = RunFolder(run.folder)
    if (step := worker.only_step()) is not None:
        parts = Assembly(Resolved.of(run, worker.join(lambda: resolve(run, "train").found)))
        made = parts.training(parts.prepare("train"))
        print("\n".join(replay.replay_step(made, folder.checkpoints, step)), flush=True)
        return
    lock, found = worker.claim(folder, "xdist train", lambda: resolve(run, "train").found)
    parts = Assembly(Resolved.of(run, found))
    beats = Heartbeat(worker.end_for)
    preparation = parts.prepare("train")
    on_first(lambda: parts.open_folder(preparation))
    finished = on_first(folder.model.is_dir) or parts.train(preparation)
    if finished and run.evaluate:
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
