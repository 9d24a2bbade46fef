"""How a model or run would be trained on given machines, and what that costs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xdist.config import Train, load_run
from xdist.config.method import StepCost
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.estimate.adapters import settings_of
from xdist.estimate.hours import Forecast, forecast, measure_peak, work
from xdist.estimate.memory import (
    Memory,
    Setting,
    copied_memory,
    host_memory,
    largest_parts,
    memory,
    state_on_disk,
    worst_moment,
)
from xdist.estimate.recommend import GB, MASKED, ds_config, recommend, usable
from xdist.estimate.shapes import Shape, branched, shape_of
from xdist.files import write_json
from xdist.resolve.resolved import Resolved
from xdist.resolve.subsets import Subsets
from xdist.run.ds_config import HALF
from xdist.study.estimate import Cost, cost, embedding_rows, parallel_share, unusual_settings

REACHED, REACHED_OF_MEASURED = 0.4, 0.7  # of a stated peak (published: 0.33 to 0.55), of a matrix product's own speed


@dataclass(frozen=True, slots=True)
class Machine:
    """`gpus` of each of `nodes` machines; GB, TFLOP/s, GB/s of one GPU, None where not given."""

    gpus: int = 1
    nodes: int = 1
    memory: float | None = None
    peak: float | None = None
    measure: bool = False
    mfu: float | None = None
    interconnect: float | None = None

    @property
    def ranks(self) -> int:
        return self.gpus * self.nodes

    @property
    def capacity(self) -> float:
        """Bytes of one GPU. Raises UserError where none is given and none is here."""
        if self.memory is not None:
            return self.memory * GB
        import torch

        if not torch.cuda.is_available():
            raise UserError("--gpu-memory is needed: this machine has no GPU")
        return float(torch.cuda.get_device_properties(0).total_memory)

    def speed(self, shape: Shape, bf16: bool) -> tuple[float, float] | None:
        """FLOP/s of one GPU and the share of it that training reaches; None where the peak is not known."""
        if self.measure:
            return measure_peak(shape.width, shape.inner, bf16) * 1e12, self.mfu or REACHED_OF_MEASURED
        return (self.peak * 1e12, self.mfu or REACHED) if self.peak else None


@dataclass(frozen=True, slots=True)
class TrainingEstimate:
    shape: Shape
    machine: Machine
    setting: Setting
    work: StepCost
    micro_batch: int  # tokens of one micro-batch on one rank, each counted once however many views it has
    memory: Memory
    capacity: float
    forecast: Forecast | None
    steps: int | None  # of the run; None where they are not known
    length_is_bound: bool = False
    precision: str = "bf16"
    unusual: tuple[str, ...] = ()  # a line on each setting that is far from what is usual
    copied: bool = True  # whether states may be copied to main memory to be saved

    @property
    def main_memory(self) -> dict[str, float]:
        """Bytes in the main memory of one machine: what is offloaded there, and copies of states."""
        ranks = self.machine.gpus
        copies = copied_memory(self.shape, self.setting, ranks) if self.copied else 0.0
        return {"offloaded": host_memory(self.shape, self.setting, ranks), "copied": copies}

    @property
    def worst(self) -> str:
        """The moment at which memory is `memory`."""
        return worst_moment(self.shape, self.setting)

    @property
    def most(self) -> dict[str, float]:
        """The most that each part takes at any moment."""
        return largest_parts(self.shape, self.setting)

    @property
    def hours(self) -> float | None:
        return self.steps * self.forecast.seconds / 3600 if self.forecast and self.steps is not None else None

    @property
    def gpu_hours(self) -> float | None:
        return None if self.hours is None else self.hours * self.machine.ranks

    @property
    def overrides(self) -> list[str]:
        """How a run is trained, in addition to its file for DeepSpeed."""
        return [
            f"runtime.precision={self.precision}",
            f"runtime.micro_batch_tokens={self.micro_batch}",
            f"model.gradient_checkpointing={str(self.setting.checkpointing).lower()}",
        ]

    def write(self, path: Path) -> None:
        """The DeepSpeed configuration, for `runtime.deepspeed`."""
        write_json(path, ds_config(self.shape, self.setting))

    def facts(self) -> dict[str, Any]:
        """Everything as JSON; sizes in bytes, None where something is not known."""
        one = self.forecast
        return {
            "model": self.shape.name,
            "parameters": self.shape.parameters,
            "gpus": self.machine.ranks,
            "zero_stage": self.setting.stage,
            "offload": self.setting.offload,
            "gradient_checkpointing": self.setting.checkpointing,
            "embedding_rows": self.shape.pieces if self.setting.trained_rows is None else self.setting.trained_rows,
            "adapter_parameters": self.setting.adapted,
            "frozen_layers": self.setting.frozen_layers,
            "anchor": self.setting.anchor,
            "teacher_parameters": self.setting.teacher,
            "precision": self.precision,
            "micro_batch_tokens": self.micro_batch,
            "micro_batches": self.setting.micro_batches,
            "memory": {
                **self.memory.parts(),
                "total": self.memory.total,
                "usable": usable(self.capacity),
                "worst": self.worst,
                "most": self.most,
            },
            "host_memory": sum(self.main_memory.values()),
            "host_memory_of_copies": self.main_memory["copied"],
            "checkpoint": state_on_disk(self.shape, self.setting),
            "flops_per_token": one.flops_per_token if one else None,
            "tokens_per_second": one.tokens_per_second if one else None,
            "step_seconds": {"compute": one.compute, "launches": one.launches, "traffic": one.traffic} if one else None,
            "steps": self.steps,
            "hours": self.hours,
            "gpu_hours": self.gpu_hours,
            "ds_config": ds_config(self.shape, self.setting),
            "overrides": self.overrides,
            "unusual": list(self.unusual),
        }


def plan(
    what: str,
    overrides: Sequence[str],
    machine: Machine,
    precision: str | None = None,
    tokens: int | None = None,
    rows: int | None = None,
    length: int = 128,
) -> TrainingEstimate:
    """For a model's name or folder, or the YAML of a run. Raises UserError for what is neither and for what does not fit."""
    if what.endswith((".yaml", ".yml")):
        run = load_run(Path(what), overrides)
        return plan_run(Resolved(run, Subsets(run)), machine, precision, tokens, rows)
    if overrides:
        raise UserError(f"{overrides[0]}: only a run has keys to override, and {what} is a model")
    precision = precision or "bf16"
    start = Setting(ranks=machine.ranks, bf16=precision in HALF, trained_rows=rows)
    found = _planned(shape_of(what), machine, start, StepCost(), tokens, None, float(length), 0.0, None)
    return replace(found, precision=precision)


def plan_run(
    resolved: Resolved,
    machine: Machine,
    precision: str | None = None,
    tokens: int | None = None,
    rows: int | None = None,
    shape: Shape | None = None,
) -> TrainingEstimate:
    """For a run; of its backbone only config.json is read, and not even that where `shape` is given."""
    run, subsets = resolved.run, resolved.subsets.training
    if run.train is None:
        raise UserError(f"{run.name}: trains nothing")
    expected = cost(run.train, run.data, subsets)
    tied = any(subset.task.family == "masked-lm" for subset in subsets)
    whole = tied or run.model.vocabulary == "full" or any(method.rewrites for method in run.methods)
    used = None if whole else embedding_rows(run.data, subsets) if rows is None else rows
    if run.model.embeddings_frozen:
        used = 0
    precision = precision or run.runtime.precision.replace("auto", "bf16")  # as on GPUs that have it
    shape = branched(shape or shape_of(resolved.model.backbone), resolved.model.branches)
    taught = _teacher(resolved.teacher_places)
    anchored = _anchored(run.train, subsets)
    english = parallel_share(run.train, run.data, subsets) / 2 if anchored else 0.0
    start = Setting(
        ranks=machine.ranks,
        bf16=precision in HALF,
        trained_rows=used,
        **settings_of(shape, run.model.adapter, run.model.syntax),
        frozen_layers=min(run.model.frozen_layers, shape.layers),
        anchor=anchored,
        teacher=taught.parameters if taught else 0,
        tied=tied and not run.model.embeddings_frozen,
        dropout=run.model.dropout != 0,
    )
    step_tokens = expected.tokens / expected.updates if expected.tokens and expected.updates else None
    found = _planned(
        shape,
        machine,
        start,
        _beside(work(run.methods), shape, taught, english, run.train.batch_size, expected),
        tokens,
        step_tokens,
        expected.attended,
        MASKED if tied else 0.0,
        expected.updates,
        expected.bound,
    )
    unusual = tuple(unusual_settings(run.train, run.model, run.data, subsets, shape))
    return replace(found, precision=precision, unusual=unusual, copied=run.runtime.save != "sync")


def _anchored(train: Train, subsets: Sequence[Subset]) -> bool:
    """Whether a frozen copy is kept, of which parallel text takes its English side."""
    return train.parallel.anchored > 0 and any(subset.task.family == "parallel" for subset in subsets)


def _teacher(places: Sequence[str]) -> Shape | None:
    """Of the largest of the models that are learnt from, which are asked one after another; None without one, and where none is
    here to be seen."""
    found = []
    for place in places:
        with suppress(UserError):
            found.append(shape_of(place))
    return max(found, key=lambda shape: shape.parameters, default=None)


def _beside(one: StepCost, shape: Shape, taught: Shape | None, english: float, batch_size: int, expected: Cost) -> StepCost:
    """`one` with the forward passes of an anchor over `english`, its share of the tokens, and of a teacher over every row once,
    in forward passes of the encoder over a step's tokens."""
    looked = one.looked + english
    if taught and expected.updates and expected.rows:
        looked += min(1.0, expected.rows / (expected.updates * batch_size)) * taught.matrices / shape.matrices
    return replace(one, looked=looked)


def _planned(
    shape: Shape,
    machine: Machine,
    start: Setting,
    one: StepCost,
    tokens: int | None,
    step_tokens: float | None,
    attended: float,
    head: float,
    steps: int | None,
    bound: bool = False,
) -> TrainingEstimate:
    capacity = machine.capacity
    setting = recommend(shape, start, capacity, tokens=tokens, step_tokens=step_tokens, views=one.views, head=head)
    micro_batch = round(setting.tokens / one.views)
    speed = machine.speed(shape, setting.bf16)
    expected = None
    if speed:
        expected = forecast(
            shape,
            setting,
            one,
            step_tokens=step_tokens or float(micro_batch * machine.ranks),
            attended=attended,
            head=head,
            peak=speed[0],
            reached=speed[1],
            interconnect=machine.interconnect * GB if machine.interconnect else None,
        )
    return TrainingEstimate(shape, machine, setting, one, micro_batch, memory(shape, setting), capacity, expected, steps, bound)
