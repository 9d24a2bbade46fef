"""From a file of ds_configs/ to typed values, read once for each start: strict where DeepSpeed itself is silent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, create_model

from xdist.config import Source
from xdist.config.fitting import not_put_in
from xdist.config.loading import validated
from xdist.config.reader import KeyPath
from xdist.config.runtime import AUTO, AskedPrecision, Precision
from xdist.errors import UserError, unknown
from xdist.files import shipped
from xdist.formats.lines import read_json
from xdist.run.building import ASYNC_IO, CPU_ADAM

if TYPE_CHECKING:
    import torch

OWNED = {
    "train_batch_size": "train.batch_size",
    "train_micro_batch_size_per_gpu": "runtime.micro_batch_tokens",
    "gradient_accumulation_steps": "runtime.micro_batch_tokens",
    "gradient_clipping": "train.clip",
    "optimizer": "train.learning_rate, train.weight_decay",
    "scheduler": "train.warmup",
    "tensorboard": "runtime.sinks",
    "steps_per_print": "runtime.log_every",
    "managed_gradient_accumulation": "nothing: a step is the boundary",
    "fp16": "runtime.precision=fp16",
}
Dtype = Literal["fp32", "fp16", "bf16"]
HALF = ("bf16", "fp16")
FIRST_SCALE = 2.0**16  # of the loss in fp16
SHARED = 1e9  # parameters from which on ranks share weights too
Offload = Literal["none", "optimizer", "all"]  # of what is trained, out of the device's memory


class _Plain(BaseModel):
    """A section that DeepSpeed reads key by key, ignoring the keys that it does not know."""

    model_config = ConfigDict(extra="forbid")


class _Aio(_Plain):
    block_size: int = 1048576
    queue_depth: int = 8
    intra_op_parallelism: int = 1
    single_submit: bool = False
    overlap_events: bool = True
    use_gds: bool = False


class _FlopsProfiler(_Plain):
    enabled: bool = False
    recompute_fwd_factor: float = 0.0
    profile_step: int = 1
    module_depth: int = -1
    top_modules: int = 1
    detailed: bool = True
    output_file: str | None = None


class _CommsLogger(_Plain):
    enabled: bool = False
    prof_all: bool = True
    prof_ops: list[str] = []
    verbose: bool = False
    debug: bool = False


class _DataTypes(_Plain):
    grad_accum_dtype: Dtype | None = None


class _TorchAutocast(_Plain):
    enabled: bool = False
    dtype: Literal["bfloat16", "float16", "bf16", "fp16"] | None = None
    lower_precision_safe_modules: list[str] | None = None


class _File(_Plain):
    """What a file may say: DeepSpeed accepts and ignores unknown top-level keys; xdist itself sets batch size, clipping,
    optimizer, schedule and monitor. Checked against DeepSpeed 0.19.8."""

    zero_optimization: dict[str, Any] = {}
    bf16: dict[str, Any] = {}
    data_types: _DataTypes = _DataTypes()
    torch_autocast: _TorchAutocast = _TorchAutocast()
    communication_data_type: Dtype | None = None
    seq_parallel_communication_data_type: Dtype | None = None
    zero_allow_untested_optimizer: bool = True
    zero_force_ds_cpu_optimizer: bool = True
    aio: _Aio = _Aio()
    flops_profiler: _FlopsProfiler = _FlopsProfiler()
    comms_logger: _CommsLogger = _CommsLogger()
    wall_clock_breakdown: bool = False
    disable_allgather: bool = False
    dump_state: bool = False


@dataclass(frozen=True, slots=True)
class DeepSpeed:
    """`values` is what `deepspeed.initialize` gets of the file at `path`, the rest what xdist itself has to know of it.
    `bucket` (elements) and `live` (parameters of stage 3) are None where the file leaves them to DeepSpeed."""

    path: Path
    values: Mapping[str, Any]
    stage: int
    precision: Precision
    offload: Offload
    bucket: int | None
    live: int | None

    @property
    def name(self) -> str:
        """As `runtime.deepspeed` has it."""
        return self.path.stem if self.path.parent == shipped("ds_configs") else str(self.path)

    @property
    def dtype(self) -> "torch.dtype":
        """The precision of the weights."""
        import torch

        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision, torch.float32)

    @property
    def ops(self) -> list[str]:
        """Of DeepSpeed's compiled ops those that training under it uses, for any device."""
        if self.offload == "none":
            return []
        parts = [self.values["zero_optimization"].get(f"offload_{part}") or {} for part in ("optimizer", "param")]
        return [CPU_ADAM, *([ASYNC_IO] if any(part.get("device") == "nvme" for part in parts) else [])]

    @property
    def half(self) -> bool:
        """Whether weights and states have 16 bits."""
        return self.precision in HALF


def find(name: str) -> Path:
    """A path to a JSON file, or the name of one in ds_configs/. Raises UserError with the nearest name."""
    if name.endswith(".json") or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise UserError(f"{path}: no such file (runtime.deepspeed)")
        return path
    path = shipped("ds_configs") / f"{name}.json"
    if not path.is_file():
        raise UserError(unknown("DeepSpeed configuration", name, [AUTO, *(file.stem for file in path.parent.glob("*.json"))]))
    return path


def choose_file(parameters: int | None, precision: Precision) -> str:
    """What `auto` is for an encoder of this many parameters, None where that is not known: the file that makes a step of the
    fewest kernels; where a rank's memory would not hold it, the one that shares everything."""
    if parameters is not None and parameters >= SHARED:
        return "zero3"
    return "zero1" if precision in HALF else "zero0"


def resolve_precision(asked: AskedPrecision) -> Precision:
    """What a precision becomes on this hardware under a file that says nothing of it. Raises UserError."""
    return _precision({}, asked)


def read(path: Path) -> dict[str, Any]:
    """The JSON at `path`. Raises UserError for a key that DeepSpeed would ignore or that xdist sets itself, a key that appears
    twice, "auto", text for a number or a boolean, and what DeepSpeed could not run."""
    values = read_json(path, unique=True)
    if not isinstance(values, dict):
        raise UserError(f"{path}:1: expected a JSON object")
    for key in values:
        if key in OWNED:
            raise UserError(f"{path}: {key}: xdist sets this itself; use {OWNED[key]}")
    if automatic := _auto(values):
        raise UserError(f'{path}: {automatic}: DeepSpeed does not understand "auto"; leave the key out or give a value')
    _check(path, _File, values)
    # The shipped files are checked by the suite; DeepSpeed's classes take seconds to import.
    if path.parent != shipped("ds_configs"):
        from deepspeed.runtime.precision_config import DeepSpeedBF16Config
        from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

        kind = create_model("Typed", zero_optimization=(DeepSpeedZeroConfig, {}), bf16=(DeepSpeedBF16Config, {}))
        _check(path, kind, {key: values[key] for key in kind.model_fields if key in values})
    _check_stage(path, values.get("zero_optimization", {}))
    return values


def check(path: Path, precision: AskedPrecision) -> None:
    """Raises UserError as `settings` does, except for what the hardware cannot do. Needs no torch for the files that come with
    xdist."""
    _agreeing(path, precision)


def settings(path: Path, precision: AskedPrecision, clip: float | None) -> DeepSpeed:
    """The file at `path` as training under it on this hardware gets it: `precision` as the run says it, `clip` the largest
    gradient norm (None: nothing is trained). Raises UserError as `read`, where file and run contradict each other, and for a
    precision that the hardware has not."""
    values = _agreeing(path, precision)
    zero = values.get("zero_optimization", {})
    stage = int(zero.get("stage", 0))
    becomes = _precision(values, precision)
    if becomes == "bf16":
        values.setdefault("bf16", {"enabled": True})
    elif becomes == "fp16":
        # With its own scale DeepSpeed would change it; engine.loss_scale does, equally at every stage.
        values["fp16"] = {"enabled": True, "loss_scale": FIRST_SCALE}
    if becomes in HALF and stage:
        values.setdefault("data_types", {"grad_accum_dtype": "fp32"})
    elif becomes in HALF:  # DeepSpeed cannot sum them in fp32 there, so the engine does, and so they are to be sent
        values.pop("data_types", None)
        values.setdefault("communication_data_type", "fp32")
    values |= {
        # Nominal: xdist decides which rows make a micro-batch, and `step()` is the boundary.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        # At ZeRO 0 in fp32 the optimizer hook of engine.engine clips, since DeepSpeed then reports no norm.
        "gradient_clipping": clip if clip is not None and (stage or becomes in HALF) else 0.0,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**12,
    }
    offload: Offload = "all" if zero.get("offload_param") else "optimizer" if zero.get("offload_optimizer") else "none"
    sizes = (zero.get("reduce_bucket_size"), zero.get("stage3_max_live_parameters"))
    bucket, live = (None if size is None else int(size) for size in sizes)
    return DeepSpeed(path, values, stage, becomes, offload, bucket, live)


def _agreeing(path: Path, precision: AskedPrecision) -> dict[str, Any]:
    values = read(path)
    in_bf16 = values.get("bf16", {}).get("enabled")
    if precision != "auto" and in_bf16 not in (None, precision == "bf16"):
        raise UserError(f"{path}: bf16.enabled: contradicts runtime.precision={precision}; leave it out")
    return values


def _precision(values: Mapping[str, Any], asked: AskedPrecision) -> Precision:
    """What `asked` becomes under a file of these `values` on this hardware. Raises UserError."""
    said = values.get("bf16", {}).get("enabled")
    if asked == "auto" and said:
        return "bf16"
    if asked == "auto" and (said is False or values.get("torch_autocast", {}).get("enabled", False)):
        return "fp32"
    if asked in ("fp32", "bf16"):
        return cast(Precision, asked)
    from xdist.run import distributed

    return distributed.precision(asked)


def _auto(value: Any, key: str = "") -> str:
    if isinstance(value, dict):
        return next((inner_key for name, inner in value.items() if (inner_key := _auto(inner, f"{key}.{name}".strip(".")))), "")
    return key if value == "auto" else ""


def _check(path: Path, kind: type[BaseModel], values: dict[str, Any]) -> None:
    for key, expected in _mistyped(kind, values):
        raise UserError(f"{path}: {'.'.join(map(str, key))}: expected {expected}")
    validated(kind, values, Source(path))


def _mistyped(kind: type[BaseModel], values: Mapping[str, Any], key: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """(key, what is expected there) of every value that pydantic would quietly turn into another type."""
    for name, field in kind.model_fields.items():
        union = get_origin(field.annotation) in (Union, UnionType)
        kinds = get_args(field.annotation) if union else (field.annotation,)
        allowed = [inner for inner in kinds if isinstance(inner, type)]
        number = any(issubclass(inner, (int, float)) and inner is not bool for inner in allowed)
        section = next((inner for inner in allowed if issubclass(inner, BaseModel)), None)
        mapping = section is not None or any(get_origin(inner) is dict for inner in kinds)
        for written in {name, field.alias or name} & values.keys():
            value, key_there = values[written], (*key, written)
            if mapping and not isinstance(value, (dict, type(None))):
                yield key_there, "a JSON object"
            elif section and value is not None:
                yield from _mistyped(section, value, key_there)
            elif bool in allowed and not isinstance(value, (bool, type(None))):
                yield key_there, "true or false"
            elif number and (isinstance(value, bool) or (isinstance(value, str) and str not in allowed)):
                yield key_there, "a number"


def _check_stage(path: Path, zero: Mapping[str, Any]) -> None:
    """Raises UserError for what DeepSpeed would end with an assertion at, or silently leave undone, at this stage."""
    stage = zero.get("stage", 0)
    for key, least in (("overlap_comm", 2), ("offload_optimizer", 1), ("offload_param", 3)):
        if zero.get(key) and stage < least:
            raise UserError(f"{path}: zero_optimization.{key}: works from stage {least} on, and this is stage {stage}")
    for key in ("offload_optimizer", "offload_param"):
        part = zero.get(key) or {}
        if part.get("device") == "nvme" and not part.get("nvme_path"):
            raise UserError(f"{path}: zero_optimization.{key}.nvme_path: is required for device nvme")
        if wrong := not_put_in(str(part.get("nvme_path") or ""), "a path for DeepSpeed"):
            raise UserError(f"{path}: zero_optimization.{key}.nvme_path: {wrong}")
