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
from xdist.data.pieces import training_pieces  # noqa: E402
from xdist.data.prepare import Preparation  # noqa: E402
from xdist.errors import UserError  # noqa: E402
from xdist.evaluation.evaluator import evaluate  # noqa: E402
from xdist.evaluation.selection import DevJudge  # noqa: E402
from xdist.files import file_digest  # noqa: E402
from xdist.runtime import distributed, ds_config, replay, script, sinks, training  # noqa: E402
from xdist.runtime.heartbeat import Heartbeat  # noqa: E402
from xdist.runtime.run_folder import RunFolder  # noqa: E402
from xdist.runtime.together import on_first  # noqa: E402


def work(run: Run) -> None:
    if run.train is None:
        raise UserError(f"run '{run.name}' has no section 'train'; evaluate it with: xdist evaluate RUN.yaml")
    folder = RunFolder(run.folder)
    if (step := script.only_step()) is not None:
        script.join(run, lambda: look(run))
        preparation = script.prepared(run)
        print("\n".join(replay.replay(run, preparation.tokenizer, preparation, step)), flush=True)
        return
    lock = script.claim(run, "xdist train", lambda: look(run))
    beats = Heartbeat(lambda end: script.end_for(run, end))
    preparation = script.prepared(run)
    on_first(lambda: folder.open(run, ds_config.resolve(run), contents(run, preparation)))

    judge = DevJudge(run, preparation) if run.train.select else None
    finished = on_first(folder.model.is_dir) or training.train(run, preparation.tokenizer, preparation, judge)
    if finished and run.evaluate:
        evaluate(run, preparation.tokenizer, preparation)
    if distributed.rank() == 0:
        folder.mark("finished" if finished else "unfinished")
        lock.release()
    beats.stop()
    distributed.barrier()


def look(run: Run) -> None:
    """Raises UserError for what forbids to train and is seen without the data."""
    sinks.check(run)
    if not RunFolder(run.folder).model.is_dir():
        run.check_method_files()
    ds_config.resolve(run)


def contents(run: Run, preparation: Preparation) -> dict[str, str]:
    """Fingerprints of all that is trained on: prepared sets and the files that methods read."""
    read = {str(path): file_digest(path) for path in run.method_files if path.is_file()}
    return {**preparation.fingerprints(training_pieces(run)), **read}


if __name__ == "__main__":
    script.main(work, __doc__ or "")
