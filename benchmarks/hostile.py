"""Thousands of inputs for every reader, whose right verdict is known by how they were made.

A valid input has to be accepted, the same with one named fault refused in one line that names the file; free mutations may be
either. What is counted: tracebacks, inputs that take longer than 5 seconds (hangs), and wrong verdicts (a valid input refused,
a fault accepted, a message of more than a line or without the file's name).

    python benchmarks/hostile.py --n 20000 --seed 1

The last line is JSON: inputs, tracebacks, hangs, wrong.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests"), str(ROOT / "tests" / "unit")]

from hostile_inputs.generators import GENERATORS  # noqa: E402
from hostile_inputs.judge import TROUBLE, Tally, run  # noqa: E402

MEMORY = 8 << 30  # bytes beyond which an input has taken too much


def table(tally: Tally) -> str:
    lines = ["| reader | inputs | faults | " + " | ".join(TROUBLE) + " |", "| --- | --: | --: |" + " --: |" * len(TROUBLE)]
    for reader, count in tally.inputs.items():
        faults = len(tally.faults[reader] - {"", "free mutation"})
        lines.append(
            f"| {reader} | {count} | {faults} | " + " | ".join(str(tally.trouble[kind][reader]) for kind in TROUBLE) + " |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="the generators whose name begins with this")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    chosen = {name: one for name, one in GENERATORS.items() if name.startswith(options.only)}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostile-") as place:
        tally = run(chosen, options.n, options.seed, Path(place))
    for title, said in tally.examples.items():
        print(f"--- {title}\n{said}\n", file=sys.stderr)
    print(table(tally))
    print(f"\n{time.monotonic() - begin:.0f} s")
    print(json.dumps({"inputs": tally.inputs.total(), **{kind: tally.trouble[kind].total() for kind in TROUBLE}}))
    return 1 if any(tally.trouble[kind].total() for kind in TROUBLE) else 0


if __name__ == "__main__":
    sys.exit(main())
