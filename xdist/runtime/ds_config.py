"""From a file of ds_configs/ and a run to the JSON that DeepSpeed gets: strict where DeepSpeed itself is silent."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import create_model

import xdist
from xdist.config import Run, Source
from xdist.config.loading import validated
from xdist.errors import UserError, unknown

if TYPE_CHECKING:
    import torch

# DeepSpeed accepts and ignores unknown top-level keys; xdist owns the batch size, clipping, optimizer, schedule and monitor.
ALLOWED = (
    "zero_optimization",
    "bf16",
    "data_types",
    "torch_autocast",
    "communication_data_type",
    "zero_allow_untested_optimizer",
    "zero_force_ds_cpu_optimizer",
    "aio",
    "flops_profiler",
    "wall_clock_breakdown",
    "comms_logger",
    "seq_parallel_communication_data_type",
    "disable_allgather",
    "dump_state",
)
OWNED = {
    "train_batch_size": "train.batch_size",
    "train_micro_batch_size_per_gpu": "runtime.micro_batch_tokens",
    "gradient_accumulation_steps": "runtime.micro_batch_tokens",
    "gradient_clipping": "train.clip",
    "optimizer": "train.learning_rate, train.weight_decay",
    "scheduler": "train.warmup",
    "tensorboard": "runtime.sinks",
    "steps_per_print": "runtime.log_every",
}


def shipped(kind: str) -> Path:
    """The folder `ds_configs` or `jobs`, in a checkout beside the package, in a wheel inside it."""
    package = Path(xdist.__file__).resolve().parent
    inside = package / kind  # asked for first: another package's `jobs` may lie beside an installed xdist
    return inside if inside.is_dir() else package.parent / kind


def find(name: str) -> Path:
    """A path to a JSON file, or the name of one in ds_configs/. Raises UserError with the nearest name."""
    if name.endswith(".json") or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise UserError(f"{path}: no such file (runtime.deepspeed)")
        return path
    path = shipped("ds_configs") / f"{name}.json"
    if not path.is_file():
        raise UserError(unknown("DeepSpeed configuration", name, [file.stem for file in path.parent.glob("*.json")]))
    return path


def read(path: Path) -> dict[str, Any]:
    """The JSON at `path`. Raises UserError for a key that DeepSpeed would ignore, that xdist sets itself, or for "auto"."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}:1: expected a JSON object")
    for block in ("zero_optimization", "bf16"):
        if not isinstance(values.get(block, {}), dict):
            raise UserError(f"{path}: {block}: expected a JSON object")
    for key in values:
        if key in OWNED:
            raise UserError(f"{path}: {key}: xdist sets this itself; use {OWNED[key]}")
        if key not in ALLOWED:
            raise UserError(f"{path}: {unknown('key', key, ALLOWED)}")
    automatic = _auto(values)
    if automatic:
        raise UserError(f'{path}: {automatic}: DeepSpeed does not understand "auto"; leave the key out or give a value')
    return values


def _auto(value: Any, key: str = "") -> str:
    if isinstance(value, dict):
        return next((found for name, inner in value.items() if (found := _auto(inner, f"{key}.{name}".strip(".")))), "")
    return key if value == "auto" else ""


def _check_zero(path: Path, values: dict[str, Any]) -> None:
    """Raises UserError for what DeepSpeed would refuse inside `zero_optimization` with a traceback."""
    from xdist.runtime import distributed  # torch takes seconds to import, and most mistakes are found without it

    distributed.default_accelerator()
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    kind = create_model("ZeRO", zero_optimization=(DeepSpeedZeroConfig, ...))
    validated(kind, {"zero_optimization": values.get("zero_optimization", {})}, Source(path))


def _bf16(run: Run, values: dict[str, Any]) -> bool:
    """Whether the model computes in bf16: what the run says, else the file, else the hardware."""
    if run.runtime.precision != "auto":
        return run.runtime.precision == "bf16"
    from xdist.runtime import distributed

    # Autocast wants weights in fp32.
    return values.get("bf16", {}).get("enabled", distributed.has_bf16() and not values.get("torch_autocast", {}).get("enabled"))


def dtype(config: dict[str, Any]) -> "torch.dtype":
    """The precision of the weights under a resolved configuration."""
    import torch

    return torch.bfloat16 if config.get("bf16", {}).get("enabled") else torch.float32


def resolve(run: Run) -> dict[str, Any]:
    """What `deepspeed.initialize` gets for this run. Raises UserError for a file that DeepSpeed or this run cannot have."""
    path = find(run.runtime.deepspeed)
    values = read(path)
    _check_zero(path, values)
    bf16 = _bf16(run, values)
    if values.get("bf16", {}).get("enabled", bf16) != bf16:
        raise UserError(f"{path}: bf16.enabled: contradicts runtime.precision={run.runtime.precision}; leave it out")
    stage = values.get("zero_optimization", {}).get("stage", 0)
    if bf16:
        values.setdefault("bf16", {"enabled": True})
        if stage:
            values.setdefault("data_types", {"grad_accum_dtype": "fp32"})
    return {
        **values,
        # Nominal: xdist decides which rows make a micro-batch, and `step()` is the boundary.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        # At ZeRO 0 in fp32 the optimizer hook of runtime.engine clips, since DeepSpeed then reports no norm.
        "gradient_clipping": run.train.clip if run.train and (stage or bf16) else 0.0,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**12,
    }
