"""What does `xdist benchmark` cost beyond what it computes? Its seconds over those of its training and one bare forward pass.

    python benchmarks/benchmark_overhead.py --data DOWNLOAD_FOLDER [--encoder FOLDER] [--languages yo,en,sw] [a.b=c]...

The command runs as typed, in a new folder: it starts, reads, tokenises, trains on English, predicts SIB-200 in every language
that has files, scores and reports. Its training is what its log says, looks at English dev included. The forward pass is that
of the model that it trained over the tokens of all test sets, nothing but batches through the model, in one process with as
many threads as all ranks have. `--languages` and overrides such as `train.epochs=1` make it small; overhead then weighs more.
Last line: JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITE = "sib200"


def main() -> None:
    options = _options()
    if options.forward:
        _forward(Path(options.forward))
        return
    with tempfile.TemporaryDirectory() as folder:
        if not options.encoder:
            from xdist.demo.encoder import build_encoder

            options.encoder = str(Path(folder) / "encoder")
            build_encoder(Path(options.encoder))
        out = Path(folder) / "out"
        words = [options.encoder, "--suite", SUITE, "--data", options.data, "--out", str(out)]
        words += ["--languages", options.languages] if options.languages else []
        words += [f"data.cache={folder}/prepared", *options.overrides]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "xdist.cli", "benchmark", *words], check=True)
        whole = time.perf_counter() - began
        (run,) = (out / "runs").glob("target-*")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        training = sum(line.get("train/rank_seconds", 0) for line in lines)
        forward = [sys.executable, __file__, "--data", options.data, "--forward", str(run)]
        done = subprocess.run(forward, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
    print(f"{'part':<32}{'s':>9}")
    for name, seconds in (("the command", whole), ("its training", training), ("a forward pass", found["seconds"])):
        print(f"{name:<32}{seconds:9.1f}")
    print(f"{found['languages']} languages, {found['tokens']:,} test tokens")
    print(json.dumps({"benchmark_ratio": round(whole / (training + found["seconds"]), 3), "languages": found["languages"]}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="a.b=c", help="of the run, such as train.epochs=1")
    parser.add_argument("--data", required=True, help="where sib200/ lies")
    parser.add_argument("--encoder", help="a model folder; default: the demo's encoder")
    parser.add_argument("--languages", help="only these")
    parser.add_argument("--forward", help=argparse.SUPPRESS)
    return parser.parse_args()


def _forward(folder: Path) -> None:
    """Print the seconds of one forward pass of a run's model over what it was scored on."""
    import torch

    from xdist.config import recorded_run
    from xdist.data.batches import collate
    from xdist.evaluation.loading import load_for_evaluation
    from xdist.evaluation.queue import batch_queue, budget_of
    from xdist.resolve.preparing import preparation_of
    from xdist.resolve.resolved import Resolved
    from xdist.resolve.subsets import Subsets
    from xdist.tasks.batch import View
    from xdist.tasks.family import family_of

    run = recorded_run(folder / "config.yaml")
    subsets = Subsets(run).evaluation
    preparation = preparation_of(Resolved(run, Subsets(run)), "evaluate")
    sets = list(preparation.shards(subsets))
    section = run.model.model_copy(update={"backbone": str(folder / "model")})
    dtype = torch.bfloat16 if run.runtime.precision == "bf16" else torch.float32
    ranks = run.runtime.ranks
    torch.set_num_threads(ranks * int(os.environ.get("OMP_NUM_THREADS", max(1, len(os.sched_getaffinity(0)) // ranks))))
    model = load_for_evaluation(section, preparation.tokenizer, subsets, dtype, layer=None, packed=True, seed=1)
    family = family_of(subsets[0].task)
    work = batch_queue(sets, budget_of(run.runtime, "cpu"), model.packed)
    batches = [collate([sets[n].row(row) for n, row in one.rows], range(len(one.rows)), family) for one in work]
    with torch.inference_mode():
        model(View(batches[-1]))  # warm
        began = time.perf_counter()
        for batch in batches:
            model(View(batch))
        seconds = time.perf_counter() - began
    tokens = sum(int(one.tokens.sum()) for one in sets)
    print(json.dumps({"seconds": seconds, "tokens": tokens, "languages": len(subsets)}))


if __name__ == "__main__":
    main()
