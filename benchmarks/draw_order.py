"""Reading rows in the order of a plan, each drawn for itself or in blocks (`data.block`), from a cold cache.

    python benchmarks/draw_order.py [--shards 1000] [--rows 256] [--tokens 256] [--block 64] [--drawn 20000]

Shards of random tokens are written below a temporary folder (--folder: on the disk that is to be measured), taken out of the
system's cache, and as many rows as are requested are read in the order of a plan. The last line is one JSON object: pages of
4,096 bytes touched for each row, of the tokens alone, and rows read a second, of both orders and their ratios.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from xdist.data.encoding import schema_of
from xdist.data.plan import Plan
from xdist.data.shards import Shards, write_manifest, write_shard
from xdist.data.subset import Subset
from xdist.tasks.catalog import task

PAGE, BATCH = 4096, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"shards": 1000, "rows": 256, "tokens": 256, "block": 64, "drawn": 20_000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        written(Path(folder), options.shards, options.rows, options.tokens)
        size = options.shards * options.rows
        steps = max(1, min(options.drawn, size) // BATCH)
        found = {}
        for name, block in (("random", 1), ("blocks", options.block)):
            plan = Plan([size], [1.0], BATCH, 1, blocks=[block])
            order = np.concatenate([plan.step(number).row for number in range(steps)])
            touched, speed = pages(Path(folder), order) / len(order), cold(Path(folder), order)
            found[name] = {"pages_per_row": round(touched, 3), "rows_per_second": round(speed)}
    ratios = {key: found["blocks"][key] / found["random"][key] for key in found["random"]}
    print(json.dumps({**found, "ratios": ratios}, default=float))


def written(folder: Path, shards: int, rows: int, tokens: int) -> None:
    """A prepared set of running text, its rows as long as each other within a third."""
    draw, schema = np.random.default_rng(1), schema_of(Subset(task("mlm"), "train", "en"))
    facts = []
    for number in range(shards):
        made = []
        for row in range(rows):
            ids = draw.integers(4, 250_000, int(draw.integers(2 * tokens // 3, 4 * tokens // 3)), dtype=np.int32)
            made.append({"example": number * rows + row, "tokens": ids, "lengths": [len(ids)], "cut": 0})
        facts.append(write_shard(folder, number, made, schema))
    write_manifest(folder, {"rows": shards * rows, "tokens": sum(one["tokens"] for one in facts), "shards": facts})


def pages(folder: Path, order: np.ndarray) -> int:
    """Pages of the tokens that reading these rows touches, each once: what is read stays, as a window of blocks is small."""
    held = Shards(folder)
    ends = np.cumsum([shard["rows"] for shard in held.manifest["shards"]])
    touched: set[tuple[int, int]] = set()
    for row in order.tolist():
        shard = int(np.searchsorted(ends, row, side="right"))
        offsets = held._shard(shard).offsets("tokens")
        local = row - (int(ends[shard - 1]) if shard else 0)
        first, last = 4 * int(offsets[local]) // PAGE, (4 * int(offsets[local + 1]) - 1) // PAGE
        touched.update((shard, page) for page in range(first, last + 1))
    return len(touched)


def cold(folder: Path, order: np.ndarray) -> float:
    """Rows a second."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    held, began = Shards(folder), time.perf_counter()
    for shard in range(len(held.manifest["shards"])):
        opened = held._shard(shard)
        opened.checked[:] = b"\1" * len(opened.checked)  # a block's checksum is of 1 MB, which is read once in either order
    total = 0
    for row in order.tolist():
        total += int(held.row(row)["tokens"].sum())
    assert total
    return len(order) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
