"""What does a checkpoint cost? xdist's save and load against a plain torch.save and torch.load of the same state, on one rank.

    python benchmarks/checkpoint_cost.py [--layers 12] [--hidden 384] [--vocabulary 20000] [--repeats 5] [--stage 2] [--rows 4]

save        shards summed (sha256) while they are written, on the disk (fsync), manifest, rename; training waits (save: sync)
plain       torch.save of the same objects and fsync
load        with every shard read and compared first (verify on), and without
steps       N training steps of --rows rows in which no save falls
steps, save the same with one save by copies (runtime.save: async) after the first; N covers all of its writing
copied      of that the copying alone, while which training waits in any case

Seconds are medians, taken in turn. Last line: JSON; `stall_ratio` = (N steps with a save - N steps without) / save, `held_gb`
the memory that copies take in addition. What writing costs in a core's time is taken from training where no core is idle:
OMP_NUM_THREADS says how many threads train.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from xdist.demo.tiny import tiny_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--vocabulary", type=int, default=20000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stage", type=int, default=2)
    parser.add_argument("--rows", type=int, default=4, help="of a training step")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    from xdist.checkpoint import store, tags
    from xdist.config import load_run
    from xdist.resolve.assembly import Assembly
    from xdist.resolve.resolved import resolve
    from xdist.run import distributed, worker
    from xdist.training.loop import Training

    worker.quiet_libraries()
    distributed.init()
    parts = Assembly(resolve(load_run(_describe(options, folder))))
    preparation = parts.prepare("train")

    def fresh() -> Training:
        return parts.training(preparation)

    training = fresh()
    training.step(0)
    parameters = sum(parameter.numel() for parameter in training.engine.module.parameters())
    seconds: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        seconds.setdefault(name, []).append(time.perf_counter() - started)

    state = {"step": 1, "parameters": training.engine.names}
    for number in range(1, options.repeats + 1):
        timed(
            "save",
            lambda number=number: store.save_checkpoint(folder / "tags", training.engine, number, options.stage, 1, state),
        )
        (tag,) = tags.list_tags(folder / "tags")
        shards = {path.name: torch.load(path, weights_only=False) for path in tag.path.glob("*.pt")}
        timed("plain save", lambda shards=shards: _plain(shards, folder / "plain"))
    for _ in range(options.repeats):
        timed("plain load", lambda: [torch.load(path, weights_only=False) for path in (folder / "plain").iterdir()])
        for name, verify in (("load, verified", True), ("load", False)):
            engine = fresh().engine
            timed(name, lambda verify=verify, engine=engine: _load(folder / "tags", engine, options.stage, verify))
            engine.close()
    held = _overlap(training, folder / "tags", state, options, seconds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{parameters / 1e6:.1f} M parameters, {tag.bytes / 1e6:.1f} MB, {tag.bytes / parameters:.1f} bytes per parameter")
    print(f"{'':<16} {'median s':>9}  runs")
    for name, values in seconds.items():
        print(f"{name:<16} {medians[name]:9.3f}  {' '.join(f'{value:.3f}' for value in values)}")
    result = {
        "bytes_per_parameter": tag.bytes / parameters,
        "save_ns_per_parameter": 1e9 * medians["save"] / parameters,
        "save_over_plain": medians["save"] / medians["plain save"],
        "load_over_plain": medians["load"] / medians["plain load"],
        "verified_load_over_plain": medians["load, verified"] / medians["plain load"],
        "stall_ratio": (medians["steps, save"] - medians["steps"]) / medians["save"],
        "copy_ratio": medians["copied"] / medians["save"],
        "held_gb": held / 1e9,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps({name: round(value, 2) for name, value in result.items()}))
    distributed.shutdown()


def _overlap(
    training: Any, folder: Path, state: dict[str, object], options: argparse.Namespace, seconds: dict[str, list[float]]
) -> int:
    """Time steps with a save by copies and without, in turn; returns the bytes that copies hold."""
    from xdist.checkpoint.host import HostMemory
    from xdist.checkpoint.store import Saving

    memory = HostMemory(torch.cuda.is_available())

    def steps(number: int, save: bool) -> tuple[float, int]:
        """(seconds, the step in which a save was over) of `number` steps."""
        started, saving, over = time.perf_counter(), None, 0
        for done in range(1, number + 1):
            training.step(0)
            if save and done == 1:
                began = time.perf_counter()
                saving = Saving(folder, training.engine, 1, options.stage, 1, state, memory)
                seconds.setdefault("copied", []).append(time.perf_counter() - began)
            elif saving is not None and not saving.busy and (outcome := saving.advance()) is not None:
                assert not outcome, outcome
                saving, over = None, done
        if saving is not None:
            assert not saving.settle()
        return time.perf_counter() - started, over

    steps(3, save=True)  # takes the memory
    number = 8
    while not steps(number, save=True)[1]:
        number *= 2
    seconds["copied"] = []
    for _ in range(options.repeats):
        for name, save in (("steps", False), ("steps, save", True)):
            spent, over = steps(2 * number, save)
            assert over or not save, "the steps did not cover the writing"
            seconds.setdefault(name, []).append(spent)
    return memory.bytes


def _plain(shards: dict[str, object], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, state in shards.items():
        with (folder / name).open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())


def _load(folder: Path, engine: object, stage: int, verify: bool) -> None:
    from xdist.checkpoint import store

    tag = store.find_checkpoint(folder, verify)
    store.load_checkpoint(tag, engine, stage)


def _describe(options: argparse.Namespace, folder: Path) -> Path:
    words = [f"w{number}" for number in range(2 * options.vocabulary)]
    data = folder / "data" / "cldr-topic" / "train-en.tsv"
    data.parent.mkdir(parents=True)
    data.write_text("".join(f"{' '.join(words[i : i + 8])}\tunit\n" for i in range(0, 800, 8)))
    texts = [" ".join(words[i : i + 50]) for i in range(0, len(words), 50)]
    shape = {"layers": options.layers, "hidden": options.hidden, "vocabulary": options.vocabulary}
    tiny_encoder(folder / "encoder", texts, **shape)
    run = {
        "name": "cost",
        "folder": str(folder / "run"),
        "model": {"backbone": str(folder / "encoder")},
        "data": {"root": str(folder / "data"), "cache": str(folder / "prepared")},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 10, "batch_size": options.rows},
        "runtime": {"deepspeed": f"zero{options.stage}"},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


if __name__ == "__main__":
    main()
