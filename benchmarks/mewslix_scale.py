"""Mewsli-X at size: a generated set in the released format, searched exactly by two ranks.

    python benchmarks/mewslix_scale.py [--candidates 100000] [--mentions 200] [--ranks 2]

Trains a small random encoder for a few steps, so that there is a head, then prepares the data and runs `xdist evaluate` as a
user does. `evaluate` holds starting the ranks, encoding every candidate once, and the search. The last line is one JSON object:
`seconds` of `evaluate`, and `peak_mb`, the memory of its largest process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from generated_mewslix import LANGUAGES, generate, texts  # noqa: E402

from xdist.demo.tiny import tiny_encoder  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--mentions", type=int, default=200, help="per language and split")
    parser.add_argument("--ranks", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mewslix-") as name:
        measure(Path(name), arguments.candidates, arguments.mentions, arguments.ranks)


def measure(folder: Path, candidates: int, mentions: int, ranks: int) -> None:
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    generate(folder / "data", candidates, mentions)
    tiny_encoder(folder / "encoder", list(texts(2000)), vocabulary=4000)
    seconds["generate"] = time.perf_counter() - began
    run = folder / "run.yaml"
    run.write_text(yaml.safe_dump(description(folder, ranks)))
    scored = "evaluate={tasks: [mewslix]}"
    for stage, overrides in (("train", []), ("prepare", [scored]), ("evaluate", [scored])):
        began = time.perf_counter()
        command = [str(Path(sys.executable).with_name("xdist")), stage, str(run), *overrides]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        seconds[stage] = time.perf_counter() - began
    # Of all processes waited for so far; preparing holds one shard at a time, so the largest is an evaluating rank.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    scores = json.loads((folder / "run/scores.json").read_text())["tasks"]["mewslix"]
    assert set(scores["languages"]) == set(LANGUAGES)
    queries = sum(values["count"] for values in scores["languages"].values())
    print(f"\n{candidates:,} candidates, {queries:,} mentions in {len(LANGUAGES)} languages, {ranks} ranks")
    print(f"{'stage':10}{'seconds':>10}")
    for stage, took in seconds.items():
        print(f"{stage:10}{took:10.1f}")
    print(f"mAP@20 {scores['mean']['map@20']:.1f} (a random encoder after 30 steps); largest process {peak:,.0f} MB")
    print(json.dumps({"candidates": candidates, "seconds": round(seconds["evaluate"], 1), "peak_mb": round(peak)}))


def description(folder: Path, ranks: int) -> dict[str, object]:
    return {
        "name": "mewslix-scale",
        "folder": str(folder / "run"),
        "model": {"backbone": str(folder / "encoder")},
        "data": {"root": str(folder / "data"), "cache": str(folder / "prepared")},
        "train": {"tasks": [{"task": "mewslix-pairs"}], "steps": 30, "batch_size": 64, "learning_rate": 1e-3},
        "runtime": {"ranks": ranks, "deepspeed": "zero0"},
    }


if __name__ == "__main__":
    main()
