"""What does robust training cost? Seconds of one update of each method over those of a plain one, on real PAWS-X pairs.

    python benchmarks/robust_cost.py --data DOWNLOAD_FOLDER [--encoder FOLDER] [--rounds 8] [--tokens 4096] [--synonyms JSON]

Two ranks of one thread each (--ranks, --threads), ZeRO-2, the demo's encoder. In every round each method makes one update on
the same rows in turn, so other work of the machine affects all of them; a method's cost is the median over rounds of its
seconds over the plain ones of the same round. `--tokens` is the micro-batch of a rank and should fill the machine; a step has
`--batch` pairs. `substitution` is measured where a synonym file is given. Last line: one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

METHODS: dict[str, dict[str, Any]] = {
    "plain": {"method": "none"},
    "random": {"method": "random"},
    "adversarial_k1": {"method": "adversarial", "steps": 1},
    "adversarial_k3": {"method": "adversarial", "steps": 3},
    "free_k3": {"method": "free", "steps": 3},
    "consistency": {"method": "consistency"},
}


def main() -> None:
    options = _options()
    if "RANK" in os.environ:
        _rank(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(options.data, "pawsx")
        train = source / "train-en.tsv" if (source / "train-en.tsv").is_file() else source / "dev-en.tsv"  # pairs are pairs
        Path(folder, "data/pawsx").mkdir(parents=True)
        Path(folder, "data/pawsx/train-en.tsv").symlink_to(train.resolve())
        if not options.encoder:
            from xdist.demo.encoder import build_encoder

            options.encoder = str(Path(folder) / "encoder")
            build_encoder(Path(options.encoder))
        words = [
            "--data",
            f"{folder}/data",
            "--encoder",
            options.encoder,
            "--cache",
            f"{folder}/prepared",
            "--out",
            f"{folder}/seconds.json",
        ]
        environment = {
            **os.environ,
            "WORLD_SIZE": str(options.ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(29500 + os.getpid() % 1000),
            "OMP_NUM_THREADS": str(options.threads),
        }
        started = [
            subprocess.Popen(
                [sys.executable, __file__, *sys.argv[1:], *words],
                env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(options.ranks)
        ]
        assert [process.wait() for process in started] == [0] * options.ranks
        seconds: dict[str, list[float]] = json.loads(Path(folder, "seconds.json").read_text())
    plain = seconds["plain"]
    cost = {name: statistics.median(a / b for a, b in zip(values, plain, strict=True)) for name, values in seconds.items()}
    print(f"{'method':<16} {'median s':>9} {'x plain':>8}  rounds")
    for name, values in seconds.items():
        rounds = " ".join(f"{value:.2f}" for value in values)
        print(f"{name:<16} {statistics.median(values):9.2f} {cost[name]:8.2f}  {rounds}")
    print(json.dumps({name: round(value, 3) for name, value in cost.items() if name != "plain"}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the download/ folder of the official scripts")
    parser.add_argument("--encoder", help="a model folder; default: the demo's encoder")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=4096, help="padded tokens of a micro-batch")
    parser.add_argument("--batch", type=int, default=128, help="pairs in a step, over all ranks")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    parser.add_argument("--synonyms", help="a file {word: [synonyms]}: measures substitution too")
    parser.add_argument("--cache", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(options: argparse.Namespace, robust: dict[str, Any]) -> Any:
    from xdist.config.loading import Source, validated
    from xdist.config.run import Run

    values = {
        "name": "cost",
        "folder": "unused",
        "model": {"backbone": options.encoder, "freeze_embeddings": True},
        "data": {"root": options.data, "cache": options.cache},
        "train": {"tasks": [{"task": "pawsx"}], "steps": 10**6, "batch_size": options.batch, "learning_rate": 1e-5},
        "robust": robust,
        "runtime": {"micro_batch_tokens": options.tokens},
    }
    return validated(Run, values, Source(Path("benchmark")))


def _rank(options: argparse.Namespace) -> None:
    from xdist.resolve.assembly import Assembly
    from xdist.resolve.resolved import resolve
    from xdist.robust.passes import Chain
    from xdist.run import distributed, worker

    worker.quiet_libraries()
    methods = dict(METHODS)
    if options.synonyms:
        methods["substitution"] = {"method": "substitution", "synonyms": options.synonyms}
    runs = {name: _run(options, robust) for name, robust in methods.items()}
    distributed.init()
    parts = {name: Assembly(resolve(run)) for name, run in runs.items()}
    preparation = parts["plain"].prepare("train")
    training = parts["plain"].training(preparation)
    # One engine for all: what differs between methods is their chain and, of those that rewrite text, their data.
    chains = {name: Chain(run.methods) for name, run in runs.items()}
    data = {name: parts[name].data(preparation) if name == "substitution" else training.data for name in runs}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(options.rounds + 1):
        for name in runs:
            training.chain, training.data = chains[name], data[name]
            distributed.barrier()
            began = time.perf_counter()
            training.step(number).means()  # waits for the device
            distributed.barrier()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    if distributed.rank() == 0:
        Path(options.out).write_text(json.dumps(seconds))
    distributed.shutdown()


if __name__ == "__main__":
    main()
