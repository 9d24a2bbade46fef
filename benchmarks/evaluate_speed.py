"""How fast is evaluation? xdist's queue against the two loops that people use, on real Tatoeba, XCOPA and POS files.

    python benchmarks/evaluate_speed.py --data DOWNLOAD_FOLDER [--encoder FOLDER] [--repeats 3] [--limit 40]

padded     language by language, batches in file order, padded to the task's maximum length, as the public scripts do
dynamic    the same, padded to the longest of each batch
xdist      one queue over the languages of a task, longest first, batches by tokens, attention without padding
1, 2 ranks xdist in processes of one thread each

All sides run the same model (random heads: speed only) on the same rows, in turn; seconds are medians. Last line: JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TASKS = {"tatoeba": ("de", "sw", "th"), "xcopa": ("sw", "ta"), "udpos": ("tl", "wo")}
OFFICIAL_LENGTH = {"tatoeba": 512, "xcopa": 128, "udpos": 128}
LOOP_BATCH = 32


def main() -> None:
    options = _options()
    if options.rank_out:
        _rank(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.cache = options.cache or folder
        if not options.encoder:
            from xdist.demo.encoder import build_encoder

            options.encoder = str(Path(folder) / "encoder")
            build_encoder(Path(options.encoder))
        seconds = _sides(options)
        for world in (1, 2) * options.repeats:
            seconds.setdefault(f"{world} ranks", []).append(_ranks(options, world, Path(folder)))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{'side':<10} {'median s':>9}  runs")
    for name, values in seconds.items():
        print(f"{name:<10} {medians[name]:9.2f}  {' '.join(f'{value:.2f}' for value in values)}")
    result = {
        "ratio_padded": medians["padded"] / medians["xdist"],
        "ratio_dynamic": medians["dynamic"] / medians["xdist"],
        "scaling_2_ranks": medians["1 ranks"] / medians["2 ranks"],
    }
    print(json.dumps({name: round(value, 2) for name, value in result.items()}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the download/ folder of the official scripts")
    parser.add_argument("--encoder", help="a model folder; default: the demo's encoder")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=int, default=40, help="rows per language: the padded loop is slow")
    parser.add_argument("--cache", help=argparse.SUPPRESS)
    parser.add_argument("--rank-out", help=argparse.SUPPRESS)
    return parser.parse_args()


class Bench:
    """The model and the first rows of every language of every task."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        from xdist.config.loading import Source, validated
        from xdist.config.run import Run
        from xdist.model.encoder import load_encoder
        from xdist.model.model import Model
        from xdist.resolve.preparing import preparation_of
        from xdist.resolve.resolved import Resolved
        from xdist.resolve.subsets import Subsets
        from xdist.tasks.family import family_of

        self.tasks = {}
        families = {}
        for name, languages in TASKS.items():
            run = validated(
                Run,
                {
                    "name": "speed",
                    "folder": "unused",
                    "model": {"backbone": options.encoder},
                    "data": {"root": options.data, "cache": options.cache, "max_length": OFFICIAL_LENGTH[name]},
                    "evaluate": {"tasks": [name], "languages": list(languages)},
                },
                Source(Path("benchmark")),
            )
            subsets = Subsets(run)
            preparation = preparation_of(Resolved(run, subsets), "evaluate")  # unchecked: heads are random
            preparation.make_missing()
            sets = [First(shards, options.limit) for shards in preparation.shards(subsets.evaluation)]
            task = subsets.evaluation[0].task
            family = families[task.head] = family_of(task)
            self.tasks[name] = (family, sets)
        encoder = load_encoder(run.model, preparation.tokenizer, torch.float32)
        self.model, self.padded = (Model(encoder, families, 1, pack).eval() for pack in (True, False))

    def xdist(self, rank: int = 0, world: int = 1) -> None:
        from xdist.config.runtime import Runtime
        from xdist.evaluation.queue import batch_queue, budget_of, rank_share

        budget = budget_of(Runtime(), "cpu")
        for family, sets in self.tasks.values():
            for item in rank_share(batch_queue(sets, budget, self.model.packed), rank, world):
                self._forward(self.model, family, [sets[number].row(row) for number, row in item.rows])

    def loop(self, width: Callable[[str], int | None]) -> None:
        for name, (family, sets) in self.tasks.items():
            for rows in sets:
                for first in range(0, len(rows), LOOP_BATCH):
                    batch = [rows.row(row) for row in range(first, min(first + LOOP_BATCH, len(rows)))]
                    self._forward(self.padded, family, batch, width(name))

    def _forward(self, model, family, rows, width: int | None = None) -> None:  # type: ignore[no-untyped-def]
        import torch

        from xdist.data.batches import collate
        from xdist.tasks.batch import View

        batch = collate(rows, range(len(rows)), family)
        if width:
            batch.__dict__["width"] = width  # the loop's padding; everything after it is the same code
        with torch.inference_mode():
            model(View(batch))


class First:
    """The first `limit` rows of a prepared set, as a set."""

    def __init__(self, shards, limit: int) -> None:  # type: ignore[no-untyped-def]
        self.shards, self.limit = shards, min(limit, len(shards))
        self.tokens = shards.tokens[: self.limit]

    def __len__(self) -> int:
        return self.limit

    def row(self, number: int):  # type: ignore[no-untyped-def]
        return self.shards.row(number)


def _sides(options: argparse.Namespace) -> dict[str, list[float]]:
    bench = Bench(options)
    sides: dict[str, Callable[[], None]] = {
        "padded": lambda: bench.loop(OFFICIAL_LENGTH.__getitem__),
        "dynamic": lambda: bench.loop(lambda name: None),
        "xdist": bench.xdist,
    }
    bench.xdist()  # warm
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.repeats):
        for name, side in sides.items():
            began = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def _ranks(options: argparse.Namespace, world: int, folder: Path) -> float:
    """Seconds of the slowest of `world` processes of one thread, from a common start to its last batch."""
    out = folder / f"ranks-{world}"
    words = ["--data", options.data, "--encoder", options.encoder, "--limit", str(options.limit), "--cache", options.cache]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1"}
    environment["MASTER_PORT"] = str(29500 + os.getpid() % 1000)
    started = [
        subprocess.Popen(
            [sys.executable, __file__, *words, "--rank-out", str(out)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(world)
    ]
    assert [process.wait() for process in started] == [0] * world
    return float(out.read_text())


def _rank(options: argparse.Namespace) -> None:
    import torch

    from xdist.run import distributed

    torch.set_num_threads(1)
    distributed.init()
    bench = Bench(options)
    rank, world = distributed.rank(), distributed.world()
    bench.xdist(rank, world)  # warm
    distributed.barrier()
    began = time.perf_counter()
    for _ in range(3):
        bench.xdist(rank, world)
    distributed.barrier()
    if rank == 0:
        Path(options.rank_out).write_text(str((time.perf_counter() - began) / 3))
    distributed.shutdown()


if __name__ == "__main__":
    main()
