"""Train a run, then evaluate it if it says so. Started on every rank:

    deepspeed --num_accelerators 2 xdist/train.py RUN.yaml [a.b=c …]      (torchrun and srun work as well)

Started again, it goes on where it stopped; a finished run says so and does nothing.
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
from xdist.data.pieces import training_pieces  # noqa: E402
from xdist.data.prepare import Preparation  # noqa: E402
from xdist.data.tokenizer import load_tokenizer  # noqa: E402
from xdist.errors import UserError  # noqa: E402
from xdist.evaluation.evaluator import evaluate  # noqa: E402
from xdist.evaluation.selection import DevJudge  # noqa: E402
from xdist.files import file_digest  # noqa: E402
from xdist.runtime import distributed, ds_config, replay, script, sinks, training  # noqa: E402
from xdist.runtime.heartbeat import Heartbeat  # noqa: E402
from xdist.runtime.lock import RunLock  # noqa: E402
from xdist.runtime.run_folder import RunFolder  # noqa: E402


def work(run: Run) -> None:
    if run.train is None:
        raise UserError(f"run '{run.name}' has no section 'train'; evaluate it with: xdist evaluate RUN.yaml")
    folder = RunFolder(run.folder)
    folder.check(run)
    sinks.check(run)
    if not folder.model.is_dir():
        run.check_method_files()
    config = ds_config.resolve(run)

    # Preparation needs no process group: ranks share the missing pieces and wait for each other's files.
    tokenizer = load_tokenizer(found_model(run).backbone)
    preparation = Preparation(run, tokenizer)
    preparation.make_share(distributed.rank(), distributed.world())

    distributed.init()
    if (step := script.only_step()) is not None:
        print("\n".join(replay.replay(run, tokenizer, preparation, step)), flush=True)
        return
    lock = RunLock(folder.path)
    if distributed.rank() == 0:
        lock.take("xdist train")
        read = {str(path): file_digest(path) for path in run.method_files if path.is_file()}
        folder.open(run, config, {**preparation.fingerprints(training_pieces(run)), **read})
    distributed.barrier()
    beats = Heartbeat(lambda dead: script.end_for(run, dead))

    judge = DevJudge(run, preparation) if run.train.select else None
    finished = folder.model.is_dir() or training.train(run, tokenizer, preparation, judge)
    if finished and run.evaluate:
        evaluate(run, tokenizer, preparation)
    if distributed.rank() == 0:
        folder.mark("finished" if finished else "unfinished")
        lock.release()
    beats.stop()
    distributed.barrier()


if __name__ == "__main__":
    script.main(work, __doc__ or "")
