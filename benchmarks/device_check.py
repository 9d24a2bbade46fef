"""Does xdist compute rightly on this machine's device, and how fast? One script for the first minutes on a GPU.

    python benchmarks/device_check.py --out DIR [--wheels DIR] [--goldens DIR] [--minutes 8] [--only GROUP …]
    python benchmarks/device_check.py --make-goldens DIR     # on any machine: what its CPU computes, 13 MB
    python benchmarks/device_check.py --tiny --out DIR       # small sizes, on the CPU: does the script still run?

Needs a checkout, torch 2.11 or newer, transformers, accelerate and pyarrow. What else is missing (docs/performance.md) is taken
out of `--wheels`, unpacked below DIR and not elsewhere. Groups run one after another, the most important first, each as its
own process that is ended at its limit; every result is a line of DIR/results.jsonl, on the disk before the next check
begins. What did not run has a line with the reason. Without `--goldens` they are made here, on the CPU, first.

kernels    attention against fp64: bounds and buckets, heads 64, 80 and 128 wide, windows
encoders   outputs and gradients by an inner shift in fp32, tf32, bf16, fp16 against the CPU's, computed once and twice
courses    losses of 30 steps at ZeRO 0 to 3 in each precision against the CPU's
methods    the gradient of every method of `robust` against a plain loop on the CPU
keeping    resume, equal bits, a step that is not a number, out of memory
shell      which device a typed command takes, and the lines that it ends with
speed      step time, kernels, launches, busy share, memory, tokens/s, MFU: base, large, XL
`beside`   the same steps by Trainer (plain, ZeRO-2) and by a plain packed loop with fp32 masters
rest       offload, MLM head, evaluation, search, checkpoint, export

Last line: one JSON object. Exit code 0: nothing failed; 1: something did; 2: wrong input.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from device import wheels  # noqa: E402
from device.results import RESULTS, read, write  # noqa: E402

TAIL = 15.0  # seconds that a process gets beyond the time at which it is to begin nothing more
STARTING = 20.0  # seconds under which no process is started: importing takes half of them


@dataclass(frozen=True, slots=True)
class Group:
    """Checks of benchmarks/device/`module`.py in its own process, started within `seconds`."""

    name: str
    module: str
    seconds: float
    words: tuple[str, ...] = ()
    cpu: bool = False  # a process that is not to see a GPU


GROUPS = (
    Group("kernels", "kernels", 40),
    Group("encoders", "encoders", 45),
    Group("courses", "courses", 80),
    Group("methods", "methods", 50),
    Group("keeping", "keeping", 50),
    Group("shell", "shell", 70),
    Group("speed:base", "speed", 60, ("base",)),
    Group("speed:large", "speed", 60, ("large",)),
    Group("beside:base", "beside", 60, ("base",)),
    Group("beside:large", "beside", 60, ("large",)),
    Group("rest", "rest", 70),
    Group("speed:xl", "speed", 60, ("xl",)),
)
GOLDENS = Group("goldens", "goldens", 90, cpu=True)


def main() -> None:
    options = _options()
    if options.child:
        from device.child import work

        work(options)
        return
    if options.make_goldens:
        options.out, options.goldens = options.make_goldens, options.make_goldens
        environment, _ = wheels.unpacked(options.wheels, Path(options.out) / "site")
        sys.exit(0 if run(GOLDENS, options, 600, environment) == "done" else 1)
    began, out = time.monotonic(), Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    if (out / RESULTS).exists():
        _mistake(f"{out}: holds results already; choose another --out")
    environment, said = wheels.unpacked(options.wheels, out / "site")
    write(out, group="script", check="wheels", ok=None if said.pop("missing") else True, **said)
    groups = [group for group in GROUPS if not options.only or group.name.split(":")[0] in options.only]
    if options.tiny:  # one process: imports cost more than the checks
        groups = [Group("tiny", ",".join(dict.fromkeys(group.module for group in groups)), 240, ("tiny",), cpu=True)]
    if not options.goldens:
        options.goldens = str(out / "goldens")
        if not options.tiny:
            groups.insert(0, GOLDENS)
    for group in groups:
        left = 60 * options.minutes - (time.monotonic() - began)
        if left < STARTING:
            write(out, group=group.name, check="", ok=None, reason="no time left")
            continue
        seconds = min(group.seconds, left - TAIL / 2)
        ended = run(group, options, seconds, environment)
        if ended != "done":
            write(out, group=group.name, check="", ok=False, reason=f"the process {ended}; its log: {out / group.name}.log")
    lines = read(out)
    print(json.dumps(summary(lines, (time.monotonic() - began) / 60)), flush=True)
    sys.exit(1 if any(line["ok"] is False for line in lines) else 0)


def run(group: Group, options: argparse.Namespace, seconds: float, environment: Mapping[str, str]) -> str:
    """Run a group as a process that begins no check after `seconds`; how it ended: 'done', or in words."""
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    words = ["--child", group.module, "--name", group.name, "--seconds", str(seconds), "--out", options.out]
    words += ["--goldens", options.goldens, "--words", ",".join(group.words), *(["--tiny"] if options.tiny else [])]
    if options.peak:
        words += ["--peak", str(options.peak)]
    hidden = {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"} if group.cpu else {}
    if options.tiny:
        hidden["OMP_NUM_THREADS"] = "1"  # products this small gain nothing by a second thread, which would wait in a loop
    with (out / f"{group.name}.log").open("a") as log:
        command = [sys.executable, str(HERE / "device_check.py"), *words]
        return limited(command, seconds + TAIL, stderr=log, env={**os.environ, **environment, **hidden})


def limited(command: Sequence[str], seconds: float, **options: Any) -> str:
    """Run `command` in its own session, ended with all that it started after `seconds`; how it ended."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        code = process.wait(seconds)
        ended = "done" if code == 0 else f"ended with {code}"
    except subprocess.TimeoutExpired:
        ended = f"was ended at its limit of {seconds:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # ranks and compilers that outlive it
        process.wait()
    return ended


def summary(lines: Sequence[Mapping[str, Any]], minutes: float) -> dict[str, Any]:
    """What all lines together say."""
    failed = [f"{line['group']} {line['check']}".strip() for line in lines if line["ok"] is False]
    skipped = [line for line in lines if line["ok"] is None]
    passed = len(lines) - len(failed) - len(skipped)
    goals = {name: value for line in lines for name, value in line.get("goals", {}).items()}
    device = next((line["device"] for line in lines if "device" in line), "unknown")
    return {
        "device": device,
        "passed": passed,
        "failed": failed,
        "skipped": len(skipped),
        "goals": goals,
        "minutes": round(minutes, 2),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="", help="a folder for results.jsonl, logs and what the checks write")
    parser.add_argument("--wheels", help="a folder of wheels, of which those of missing distributions are used")
    parser.add_argument("--goldens", default="", help="a folder that --make-goldens wrote")
    parser.add_argument("--make-goldens", metavar="DIR", help="compute them on the CPU, and end")
    parser.add_argument("--minutes", type=float, default=8, help="for everything together")
    parser.add_argument("--only", nargs="+", metavar="GROUP", choices=sorted({g.name.split(":")[0] for g in GROUPS}))
    parser.add_argument("--peak", type=float, help="dense bf16 TFLOP/s of the device, for MFU, where its name is not known")
    parser.add_argument("--tiny", action="store_true")
    kinds: dict[str, Callable[[str], Any]] = {"--child": str, "--name": str, "--seconds": float, "--words": str}
    for hidden, kind in kinds.items():
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.out and not options.make_goldens:
        parser.error("give --out DIR")
    if options.wheels and not Path(options.wheels).is_dir():
        _mistake(f"{options.wheels}: no such folder (--wheels)")
    if options.goldens and not options.child and not (Path(options.goldens) / "goldens.json").is_file():
        _mistake(f"{options.goldens}: holds no goldens.json (--goldens); --make-goldens writes it")
    return options


def _mistake(line: str) -> None:
    print(f"device_check: {line}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
