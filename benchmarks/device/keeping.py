"""What a run keeps: a resumed run ends as one that never stopped; equal runs have equal bits; a step that is not a number is
passed over; out of memory is one line."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from device.child import Check
from device.setup import Setup, Skipped, apart, in_precision, stage


def checks(setup: Setup) -> list[tuple[str, Check]]:
    precision = "bf16" if setup.device.type == "cuda" else "fp32"
    every: list[tuple[str, Check]] = [
        (f"resume {precision} ZeRO-2", partial(_resumed, setup, precision, 2)),
        ("equal bits fp32 ZeRO-0", partial(_equal, setup, "fp32", 0)),
        (f"equal bits {precision} ZeRO-2", partial(_equal, setup, precision, 2)),
        ("a step of NaN fp32 ZeRO-0", partial(_bad_step, setup, "fp32", 0)),
        (f"a step of NaN {precision} ZeRO-2", partial(_bad_step, setup, precision, 2)),
        ("a step of NaN fp16 ZeRO-2", partial(_bad_step, setup, "fp16", 2)),
        ("out of memory", partial(_out_of_memory, setup)),
        (f"resume {precision} ZeRO-3", partial(_resumed, setup, precision, 3)),
        ("resume fp16 ZeRO-2", partial(_resumed, setup, "fp16", 2)),
    ]
    return every if not setup.tiny else [every[0], every[3], every[6]]


def _options(setup: Setup, precision: str, number: int, folder: Path, steps: int) -> list[str]:
    own = [f"folder={folder}", f"train.steps={steps}", "train.warmup=0", "runtime.log_every=1"]
    return [*in_precision(precision, setup.device), *stage(number), *_deterministic(), *own]


def _deterministic() -> list[str]:
    from xdist.config.runtime import Runtime

    return ["runtime.deterministic=true"] if "deterministic" in Runtime.model_fields else []


def _resumed(setup: Setup, precision: str, number: int) -> Mapping[str, Any]:
    from distributed import cases

    steps = 6 if setup.tiny else 12
    whole, parts = setup.fresh("whole"), setup.fresh("parts")
    options = {folder: _options(setup, precision, number, folder, steps) for folder in (whole, parts)}
    setup.join()
    path = str(setup.small_run)
    cases.whole_run(path, options[whole])
    stopped = cases.whole_run(path, options[parts], stop_at=2)
    cases.whole_run(path, options[parts])
    weights = [load_file(folder / "model/model.safetensors") for folder in (whole, parts)]
    difference = max(apart(weights[1][name], value) for name, value in weights[0].items())
    bound = 0.0 if setup.device.type == "cpu" or _deterministic() else 1e-3
    return {"ok": not stopped["finished"] and difference <= bound, "largest": difference, "bound": bound}


def _equal(setup: Setup, precision: str, number: int) -> Mapping[str, Any]:
    from distributed import cases

    options = [*in_precision(precision, setup.device), *stage(number), *_deterministic(), "model.dropout=0.1"]
    setup.join()
    first, second = (cases.losses(str(setup.small_run), options, 8) for _ in range(2))
    same = first["loss"] == second["loss"] and first["norm"] == second["norm"]
    difference = max(abs(one - other) for one, other in zip(first["loss"], second["loss"], strict=True))
    if not same and not _deterministic():
        return {"ok": None, "reason": "not asked to be deterministic, and is not", "largest": difference}
    return {"ok": same, "largest": difference}


def _bad_step(setup: Setup, precision: str, number: int) -> Mapping[str, Any]:
    from distributed import cases

    folder = setup.fresh("nan")
    options = _options(setup, precision, number, folder, 4)
    setup.join()
    ended = cases.run_with_bad_numbers(str(setup.small_run), options, 0, [1])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    skipped = max((line.get("train/skipped_steps", 0) for line in lines), default=0)
    # fp16 skips more of them until it has found its scale.
    ok = ended["finished"] and not ended["error"] and (skipped == 1 or (precision == "fp16" and skipped >= 1))
    return {"ok": ok, "skipped_steps": skipped, "error": ended["error"]}


def _out_of_memory(setup: Setup) -> Mapping[str, Any]:
    from distributed import cases

    if setup.device.type == "cpu":
        raise Skipped("a CPU's memory cannot be limited from within")
    from xdist.engine import out_of_memory
    from xdist.errors import RankError

    setup.join()
    training = cases._training(str(setup.small_run), ["train.batch_size=240", "runtime.micro_batch_tokens=8192"])
    advice = out_of_memory.Advice(True, ("runtime.precision=bf16",))
    training.step(0)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1_000_000) / total)
    hold, said = [], ""
    try:
        with out_of_memory.explain_errors(advice, 0, 1, training.data.step):
            training.step(1)
            # The step may have found room in what torch has kept: then this is what does not fit.
            hold += [torch.empty(1 << 26, device="cuda", dtype=torch.uint8) for _ in range(1 << 12)]
    except RankError as error:
        said = str(error)
    finally:
        hold.clear()
        torch.cuda.set_per_process_memory_fraction(1.0)
    training.close()
    return {"ok": said.startswith("rank 0 ran out of memory in step 1, whose largest micro-batch is "), "line": said}
