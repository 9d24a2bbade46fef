"""How fast is preparation? xdist's shards against `datasets` on real text, and what large sets cost to open and resume.

    python benchmarks/prepare_speed.py --data DOWNLOAD_FOLDER [--encoder FOLDER] [--megabytes 40] [--repeats 3]

write_ratio          tokens per second of `xdist prepare` over `datasets.map`, the same tokenizer, two workers each
read_ratio           random rows made into padded batches: batches per second of xdist's shards over `datasets`' files
checked_ratio        the batches of one epoch as a rank makes them: with each block's checksums looked at, over without
open_1000_shards_s   seconds to the first batch of a set of 1,000 shards
resume_s, resume_mb  step 1,000,000 of a plan over 10^8 rows, in its own process: seconds, and its total memory

Before them it says how much memory a worker took for one and for four times the text. Sides run in turn; numbers are medians.
Last line: JSON.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

WORKERS = 2
BATCH, BATCHES = 32, 200
SHARDS = 1000
PASSES = 15
RESUME = """
import time
begin = time.perf_counter()
from xdist.data.plan import Plan
begin = time.perf_counter()
plan = Plan([10**8], [1.0], 256, 1)
assert len(plan.step(1_000_000).row) == 256
seconds = time.perf_counter() - begin
# ru_maxrss would be that of the process that started this one.
print(seconds, next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""


def main() -> None:
    options = _options()
    if options.memory:
        print(json.dumps(_memory(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if not options.encoder:
            from xdist.demo.encoder import build_encoder

            options.encoder = str(place / "encoder")
            build_encoder(Path(options.encoder))
        text = corpus(options.data, place / "text", options.megabytes)
        written: dict[str, list[float]] = {"datasets": [], "xdist": []}
        for number in range(options.repeats):
            table, rate = by_datasets(text, options.encoder, place / f"datasets-{number}")
            written["datasets"].append(rate)
            shards, rate = by_xdist(text, options.encoder, place / f"xdist-{number}")
            written["xdist"].append(rate)
        read = {name: [] for name in written}
        for _ in range(options.repeats):
            read["datasets"].append(reading_datasets(table, options.encoder))
            read["xdist"].append(reading_xdist(shards))
        checked = [checking(text, options.encoder, shards.parent) for _ in range(PASSES)]
        opened = [opening(shards, place / f"many-{number}") for number in range(options.repeats)]
        resumed = [_resumed() for _ in range(options.repeats)]
        for times in (1, 4):
            own, whole = _peak(options, place, times)
            print(
                f"a worker took {own:.0f} MB of private memory, {whole:.0f} in all, for {options.megabytes * times} MB of text"
            )
    for what, sides in (("tokens/s written", written), ("batches/s read", read)):
        for name, values in sides.items():
            print(f"{name:<9} {statistics.median(values):12,.0f} {what}  {' '.join(f'{value:,.0f}' for value in values)}")
    result = {
        "write_ratio": round(statistics.median(written["xdist"]) / statistics.median(written["datasets"]), 2),
        "read_ratio": round(statistics.median(read["xdist"]) / statistics.median(read["datasets"]), 2),
        "checked_ratio": round(statistics.median(checked), 4),
        "open_1000_shards_s": round(statistics.median(opened), 3),
        "resume_s": round(statistics.median(seconds for seconds, _ in resumed), 3),
        "resume_mb": round(statistics.median(megabytes for _, megabytes in resumed)),
    }
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="the download/ folder, with mlm/udhr and mlm/bible")
    parser.add_argument("--encoder", help="a model folder; default: the demo's encoder")
    parser.add_argument("--megabytes", type=int, default=40, help="of text: the real files again and again")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def corpus(data: Path, folder: Path, megabytes: int) -> Path:
    """Real text of all languages, a paragraph a line, repeated up to the size requested."""
    real = b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in sorted(data.glob("mlm/*/*.txt")))
    lines = b"".join(line for line in real.splitlines(keepends=True) if line.strip())
    (folder / "mlm").mkdir(parents=True)
    with (folder / "mlm/en.txt").open("wb") as file:
        left = megabytes << 20
        while left > 0:
            left -= file.write(lines[: lines.rfind(b"\n", 0, left) + 1 or None] if left < len(lines) else lines)
    return folder


def by_datasets(root: Path, encoder: str, cache: Path) -> tuple[Any, float]:
    """(data set, tokens per second) of what the usual scripts do: load the lines, map the tokenizer over them."""
    from datasets import disable_progress_bars, load_dataset

    from xdist.data.tokenizer import load_tokenizer

    disable_progress_bars()
    tokenizer = load_tokenizer(encoder)

    def encode(rows: dict[str, list[str]]) -> Any:
        return tokenizer(rows["text"], truncation=True, max_length=256, return_attention_mask=False)

    begin = time.perf_counter()
    lines = load_dataset("text", data_files=str(root / "mlm/en.txt"), split="train", cache_dir=str(cache))
    table = lines.map(encode, batched=True, num_proc=WORKERS, remove_columns=["text"])
    seconds = time.perf_counter() - begin
    return table, sum(map(len, table["input_ids"])) / seconds


def by_xdist(root: Path, encoder: str, cache: Path) -> tuple[Path, float]:
    """(folder of shards, tokens per second)."""
    preparation = _preparation(root, encoder, cache)
    begin = time.perf_counter()
    preparation.make_missing(number=WORKERS)
    seconds = time.perf_counter() - begin
    (folder,) = preparation.folders.values()
    return folder, json.loads((folder / "manifest.json").read_text())["tokens"] / seconds


def _preparation(root: Path, encoder: str, cache: Path) -> Any:
    from xdist.config import Run
    from xdist.resolve.preparing import preparation_of
    from xdist.resolve.resolved import resolve

    run = Run.model_validate(
        {
            "name": "speed",
            "folder": cache / "run",
            "model": {"backbone": encoder},
            "data": {"root": root, "cache": cache},
            "train": {"tasks": [{"task": "mlm"}], "steps": 1},
        }
    )
    return preparation_of(resolve(run, "prepare"))


def _draws(rows: int) -> list[list[int]]:
    from xdist.data.plan import Plan

    plan = Plan([rows], [1.0], BATCH, 1)
    return [plan.step(number).row.tolist() for number in range(BATCHES)]


def _rate(batch: Callable[[list[int]], object], rows: int) -> float:
    draws = _draws(rows)
    batch(draws[0])
    begin = time.perf_counter()
    for draw in draws:
        batch(draw)
    return BATCHES / (time.perf_counter() - begin)


def reading_datasets(table: Any, encoder: str) -> float:
    from transformers import DataCollatorWithPadding

    from xdist.data.tokenizer import load_tokenizer

    collator = DataCollatorWithPadding(load_tokenizer(encoder))
    return _rate(lambda rows: collator([{"input_ids": ids} for ids in table[rows]["input_ids"]]), len(table))


def reading_xdist(folder: Path) -> float:
    from xdist.data.batches import collate
    from xdist.data.shards import Shards
    from xdist.tasks.catalog import task
    from xdist.tasks.family import family_of

    shards, family = Shards(folder), family_of(task("mlm"))
    return _rate(lambda rows: collate([shards.row(row) for row in rows], rows, family).padded(1), len(shards))


def checking(root: Path, encoder: str, cache: Path) -> float:
    """Time of this thread for one pass with checks over that for one without, in an order drawn each time."""
    seconds = {checks: _one_pass(root, encoder, cache, checks) for checks in random.sample((True, False), 2)}
    return seconds[True] / seconds[False]


def _one_pass(root: Path, encoder: str, cache: Path, checks: bool) -> float:
    """Seconds in which a rank of one makes the batches of all rows, as it does while the model trains."""
    from xdist.config import Train
    from xdist.data.batches import TrainingData

    preparation = _preparation(root, encoder, cache)
    train = Train.model_validate({"tasks": [{"task": "mlm"}], "batch_size": BATCH, "epochs": 1})
    data = TrainingData(train, preparation.subsets, preparation, 1, micro_batch_tokens=BATCH * 256)
    (shards,) = data.shards
    for number in range(len(shards.manifest["shards"])):
        opened = shards._shard(number)
        if not checks:
            opened.checked[:] = b"\1" * len(opened.checked)
    begin = time.thread_time()
    for step in range(data.steps):
        data.step(step, 0, 1)
    return time.thread_time() - begin


def opening(folder: Path, many: Path) -> float:
    """Seconds to the first batch of 1,000 shards, each a link to one of `folder`."""
    from xdist.data.batches import collate
    from xdist.data.plan import Plan
    from xdist.data.shards import Shards, read_manifest, write_manifest
    from xdist.tasks.catalog import task
    from xdist.tasks.family import family_of

    manifest = read_manifest(folder)
    one, many_shards = manifest["shards"][0], []
    many.mkdir()
    for number in range(SHARDS):
        name = f"shard-{number:05d}.arrow"
        os.link(folder / one["file"], many / name)
        many_shards.append({**one, "number": number, "file": name})
    totals = {key: SHARDS * one[key] for key in ("rows", "tokens")}
    write_manifest(many, {**manifest, **totals, "shards": many_shards})
    begin = time.perf_counter()
    shards, family = Shards(many), family_of(task("mlm"))
    rows = Plan([len(shards)], [1.0], BATCH, 1).step(0).row.tolist()
    collate([shards.row(row) for row in rows], rows, family).padded(1)
    seconds = time.perf_counter() - begin
    shutil.rmtree(many)
    return seconds


def _resumed() -> tuple[float, float]:
    words = subprocess.run([sys.executable, "-c", RESUME], capture_output=True, text=True, check=True).stdout.split()
    return float(words[0]), float(words[1])


def _peak(options: argparse.Namespace, place: Path, times: int) -> list[float]:
    text = corpus(options.data, place / f"memory-{times}", options.megabytes * times)
    command = [sys.executable, __file__, "--data", str(options.data), "--encoder", options.encoder, "--memory", str(text)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def _memory(options: argparse.Namespace) -> list[float]:
    """The largest memory of a worker, in MB: its own, and with the pages that it shares with its parent."""
    peak, over = [0.0, 0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for worker in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    info = worker.memory_full_info()
                    peak[:] = max(peak[0], info.uss / 2**20), max(peak[1], info.rss / 2**20)

    watching = threading.Thread(target=watch)
    watching.start()
    _preparation(options.memory, options.encoder, options.memory / "shards").make_missing(number=WORKERS)
    over.set()
    watching.join()
    return peak


if __name__ == "__main__":
    main()
