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
from xdist.errors import UserError  # noqa: E402
from xdist.evaluation.evaluator import evaluate  # noqa: E402
from xdist.runtime import distributed, script, sinks  # noqa: E402
from xdist.runtime.heartbeat import Heartbeat  # noqa: E402
from xdist.runtime.run_folder import RunFolder  # noqa: E402
from xdist.runtime.together import on_first  # noqa: E402


def work(run: Run) -> None:
    folder = RunFolder(run.folder)
    if run.evaluate is None:
        raise UserError(f"run '{run.name}' has no section 'evaluate'")
    lock = script.claim(run, "xdist evaluate", lambda: look(run, folder))
    beats = Heartbeat(lambda end: script.end_for(run, end))
    preparation = script.prepared(run, train=False)
    on_first(lambda: None if folder.environment.exists() else folder.open(run, None, {}))
    evaluate(run, preparation.tokenizer, preparation)
    if distributed.rank() == 0:
        folder.mark("finished")
        lock.release()
    beats.stop()
    distributed.barrier()


def look(run: Run, folder: RunFolder) -> None:
    """Raises UserError for what forbids to evaluate and is seen without the data."""
    sinks.check(run)
    if run.train and not folder.model.is_dir():
        raise UserError(f"{folder.model}: not there yet; train the run first: xdist train RUN.yaml")


if __name__ == "__main__":
    script.main(work, __doc__ or "")
