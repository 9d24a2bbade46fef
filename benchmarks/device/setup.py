"""What the checks of a process share: the device, the time that is left, sizes, and the small run that they train."""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

# Dense bf16 TFLOP/s by name, as their makers publish them.
PEAKS = {
    "B200": 2250.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "T4": 65.0,
}
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


class Skipped(Exception):
    """Why a check has nothing to check here."""


@dataclass
class Setup:
    tiny: bool
    out: Path
    goldens: Path
    words: tuple[str, ...]
    deadline: float  # of time.monotonic(), after which no check begins
    peak: float | None  # FLOP/s
    device: torch.device
    _joined: bool = field(default=False, init=False)

    @classmethod
    def made(cls, options: argparse.Namespace, began: float) -> "Setup":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        name = torch.cuda.get_device_name() if device.type == "cuda" else ""
        peak = options.peak or next((value for part, value in PEAKS.items() if part in name), None)
        words = tuple(filter(None, (options.words or "").split(",")))
        deadline = began + options.seconds
        return cls(options.tiny, Path(options.out), Path(options.goldens), words, deadline, peak and peak * 1e12, device)

    def left(self) -> float:
        """Seconds in which another check may begin."""
        return self.deadline - time.monotonic()

    def wait(self) -> None:
        """Until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def environment(self) -> dict[str, Any]:
        import deepspeed
        import transformers

        import xdist

        found: dict[str, Any] = {"device": "cpu", "machine": platform.processor() or platform.machine()}
        if self.device.type == "cuda":
            of = torch.cuda.get_device_properties(0)
            found = {"device": of.name, "gpu_memory_gb": round(of.total_memory / 1e9, 1), "cuda": torch.version.cuda}
            found["capability"] = f"{of.major}.{of.minor}"
        versions = {one.__name__: one.__version__ for one in (torch, transformers, deepspeed, xdist)}
        return {**found, "python": platform.python_version(), "cores": os.cpu_count(), "versions": versions}

    def join(self) -> None:
        """This process as the one rank of a group; once."""
        if not self._joined:
            from xdist.run import distributed, worker

            worker.quiet_libraries()
            distributed.init()
            self._joined = True

    def close(self) -> None:
        if self._joined:
            from xdist.run import distributed

            distributed.shutdown()

    def fresh(self, name: str) -> Path:
        """A path below the output folder where nothing is yet."""
        number = 0
        while (path := self.out / "work" / f"{name}-{os.getpid()}-{number}").exists():
            number += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @cached_property
    def golden(self) -> dict[str, Any]:
        return json.loads((self.goldens / "goldens.json").read_text())

    @cached_property
    def small_run(self) -> Path:
        """The description of the run whose course the goldens hold: a two-layer encoder without dropout."""
        return described(self.goldens, self.fresh("small"))


def described(goldens: Path, folder: Path) -> Path:
    """Writes the run on the files of `goldens`, in `folder`."""
    import yaml

    folder.mkdir(parents=True)
    run = {
        "name": "small",
        "folder": str(folder / "run"),
        "model": {"backbone": str(goldens / "encoder"), "dropout": 0.0},
        "data": {"root": str(goldens / "benchmark"), "cache": str(folder / "prepared")},
        "train": {
            "tasks": [{"task": "cldr-topic", "languages": ["en", "de"]}],
            "steps": 40,
            "batch_size": 24,
            "learning_rate": 3e-3,
            "warmup": 2,
            "weight_decay": 0.01,
        },
        "runtime": {"deepspeed": "zero0", "precision": "fp32", "sinks": []},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


def stage(number: int) -> list[str]:
    """ZeRO `number`; at 3 with small parameters partitioned too."""
    return [f"runtime.deepspeed={Path(__file__).resolve().parents[2]}/tests/distributed/ds_configs/zero{number}.json"]


def in_precision(name: str, device: torch.device) -> list[str]:
    """Raises Skipped where this xdist or this device does not know the precision."""
    from xdist.config import Run
    from xdist.config.runtime import Runtime

    known = str(Runtime.model_fields["precision"].annotation)
    if f"'{name}'" not in known:
        raise Skipped(f"this version of {Run.__module__.split('.')[0]} has no runtime.precision={name}")
    if device.type == "cpu" and name in ("tf32", "fp16"):
        raise Skipped(f"{name} is for GPUs")
    if name == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise Skipped("this GPU has no bf16")
    return [f"runtime.precision={name}"]


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, relative to the largest expected value."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def within(found: Sequence[float], bound: float) -> dict[str, Any]:
    """The verdict of differences that may be `bound` at most."""
    largest = max(found)
    return {"ok": largest <= bound, "largest": float(f"{largest:.3g}"), "bound": bound}
