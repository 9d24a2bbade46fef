"""Commands as users type them: which device they take, and the one line that they end with. All are started at once."""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from device.child import Check
from device.setup import Setup, Skipped

COMMAND = [sys.executable, "-c", "from xdist_xtreme import main; main()"]
SECONDS = 60.0


def checks(setup: Setup) -> list[tuple[str, Check]]:
    commands = _commands(setup)
    started = {name: _start(setup, words, variables) for name, (words, variables, _, _) in commands.items()}
    return [(name, partial(_ended, started[name], code, holds)) for name, (_, _, code, holds) in commands.items()]


# What a command is given and ends with: words, variables, exit code, what its output holds.
Command = tuple[list[str], dict[str, str], int, str]


def _commands(setup: Setup) -> dict[str, Command]:
    train = ["train", "RUN"]
    if setup.device.type == "cpu":
        return {
            "a dry run": ([*train, "--dry-run"], {}, 0, ""),
            "a precision that is not there": ([*train, "--dry-run", "runtime.precision=fp17"], {}, 2, "runtime.precision"),
        }
    many = torch.cuda.device_count() + 1
    uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    alone = {"MASTER_ADDR": "127.0.0.1"}
    return {
        "plain": (train, {}, 0, ""),
        "by its UUID": (train, {"CUDA_VISIBLE_DEVICES": uuid}, 0, ""),
        "hidden": (train, {"CUDA_VISIBLE_DEVICES": ""}, 0, ""),
        "a GPU that is not there": (train, {"CUDA_VISIBLE_DEVICES": "99"}, 2, "CUDA_VISIBLE_DEVICES=99"),
        "more ranks than GPUs": ([*train, f"runtime.ranks={many}"], {}, 2, "each can have one rank"),
        "a task of srun that sees one GPU": (
            ["RANK", "RUN"],
            {"SLURM_PROCID": "0", "SLURM_LOCALID": "1", "SLURM_NTASKS": "1", "MASTER_PORT": "29871", **alone},
            0,
            "",
        ),
        "mpirun": (
            ["RANK", "RUN"],
            {f"OMPI_COMM_WORLD_{name}": value for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("SIZE", "1"))}
            | {"MASTER_PORT": "29873", **alone},
            0,
            "",
        ),
        "XPU by DS_ACCELERATOR": (train, {"DS_ACCELERATOR": "xpu"}, 2, "xpu"),
        "doctor": (["doctor", "--folder", str(setup.out / "work")], {}, 0, ""),
    }


def _start(setup: Setup, words: list[str], variables: dict[str, str]) -> subprocess.Popen[str]:
    folder = setup.fresh("typed")
    run = yaml.safe_load(setup.small_run.read_text())
    run |= {"folder": str(folder / "run"), "train": {**run["train"], "steps": 3, "warmup": 0}}
    run["data"]["cache"] = str(folder / "prepared")
    run["runtime"].pop("precision")
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    line = [*COMMAND, *words]
    if words[0] == "RANK":
        line = [sys.executable, str(Path(__file__).resolve().parents[2] / "xdist/train.py"), *words[1:]]
    line = [str(folder / "run.yaml") if word == "RUN" else word for word in line]
    kept = {key: value for key, value in os.environ.items() if key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT")}
    kept.pop("MASTER_ADDR", None)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(line, env={**kept, **variables}, **pipes)


def _ended(process: subprocess.Popen[str], code: int, holds: str) -> Mapping[str, Any]:
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Skipped(f"not done in {SECONDS:.0f} s") from None
    lines = [line for line in said.splitlines() if line.startswith("xdist: ")]
    ok = process.returncode == code and holds in said and (code == 0 or len(lines) == 1)
    return {"ok": ok, "exit": process.returncode, "line": lines[-1] if lines else "", **({} if ok else {"end": said[-600:]})}
