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
from xdist.data.fetched import found_model  # noqa: E402
from xdist.data.prepare import Preparation  # noqa: E402
from xdist.data.tokenizer import load_tokenizer  # noqa: E402
from xdist.errors import UserError  # noqa: E402
from xdist.evaluation.evaluator import evaluate  # noqa: E402
from xdist.runtime import distributed, script, sinks  # noqa: E402
from xdist.runtime.heartbeat import Heartbeat  # noqa: E402
from xdist.runtime.lock import RunLock  # noqa: E402
from xdist.runtime.run_folder import RunFolder  # noqa: E402


def work(run: Run) -> None:
    folder = RunFolder(run.folder)
    if run.evaluate is None:
        raise UserError(f"run '{run.name}' has no section 'evaluate'")
    folder.check(run)
    sinks.check(run)
    if run.train and not folder.model.is_dir():
        raise UserError(f"{folder.model}: not there yet; train the run first: xdist train RUN.yaml")
    tokenizer = load_tokenizer(found_model(run).backbone)
    preparation = Preparation(run, tokenizer, train=False)
    preparation.make_share(distributed.rank(), distributed.world())

    distributed.init()
    lock = RunLock(folder.path)
    if distributed.rank() == 0:
        lock.take("xdist evaluate")
        if not folder.environment.exists():
            folder.open(run, None, {})
    distributed.barrier()
    beats = Heartbeat(lambda dead: script.end_for(run, dead))
    evaluate(run, tokenizer, preparation)
    if distributed.rank() == 0:
        folder.mark("finished")
        lock.release()
    beats.stop()
    distributed.barrier()


if __name__ == "__main__":
    script.main(work, __doc__ or "")
