"""Section `runtime` of a run: ranks, precision, memory, checkpoints and logs."""

from typing import Annotated, Literal

from pydantic import Field

from xdist.config.fitting import PathText
from xdist.config.section import LARGE, Section

AUTO = "auto"
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
AskedPrecision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
KeepFinished = Literal["states", "weights", "model", "scores"]


class Runtime(Section):
    """How a run is executed. Nothing here changes its result beyond rounding."""

    ranks: int = Field(1, ge=1, le=1024, description="processes on this machine")
    deepspeed: PathText = Field(
        AUTO,
        description="a file of ds_configs/ (without .json) or a path to one; auto: below a billion parameters `zero1` in 16 "
        "bits and `zero0` in 32, above `zero3`, and it stays the same when the run resumes",
    )
    precision: AskedPrecision = Field(
        "auto",
        description="that the model computes in; tf32: weights of 32 bits, of which products read 19; auto: bf16 on a GPU that "
        "has it, fp16 on one that has tensor cores but not that, else fp32, and it stays the same when the run resumes",
    )
    deterministic: bool = Field(
        False, description="equal bits whenever a run is repeated on GPUs of one kind; slower. On CPUs they are equal anyway"
    )
    attention: Literal["packed", "padded"] = Field(
        "packed", description="packed: no padding, where the encoder is built like BERT; padded: transformers' own layout"
    )
    micro_batch_tokens: Annotated[int, Field(ge=16, le=LARGE)] | Literal["auto"] = Field(
        8192,
        description="tokens in one forward pass of one rank; with padded attention, padding is counted too; auto: as many as "
        "the GPU's memory holds, and it stays the same when the run resumes (8192 on a "
        "CPU); the loss is the same with any number",
    )
    rewriters: int = Field(
        0,
        ge=0,
        le=256,
        description="processes of each rank that put rows into other words, where a method of `robust` does; 0: a thread of "
        "the rank itself does. The rows are the same",
    )
    eval_batch_tokens: int | None = Field(
        None, ge=16, le=LARGE, description="the same in evaluation; null: what suits the device"
    )
    log_every: int = Field(10, ge=1, le=LARGE, description="steps between lines of metrics.jsonl")
    save_every: int = Field(200, ge=1, le=LARGE, description="steps between checkpoints")
    save_minutes: float | None = Field(
        None, gt=0, le=1e7, description="also save when so long has passed since the last checkpoint"
    )
    save: Literal["auto", "async", "sync"] = Field(
        "auto",
        description="async: states are copied to the main memory of the hosts and written while training continues; sync: "
        "training waits; auto: async where every host has 1.3 times the states of its ranks free, else sync",
    )
    max_minutes: float | None = Field(
        None, gt=0, le=1e7, description="save and leave, unfinished, so long after the training, or the evaluation, began"
    )
    bad_steps: int = Field(
        5, ge=1, le=LARGE, description="end after this many steps in a row whose loss or gradient is not finite"
    )
    keep: int = Field(2, ge=1, le=1_000_000, description="checkpoints kept")
    keep_finished: KeepFinished = Field(
        "states",
        description="what is kept of a finished and scored run, in addition to scores, predictions "
        "and logs: states: everything; "
        "weights: of the checkpoints the weights alone, for `xdist export --average`; model: no checkpoints; scores: not even "
        "the model",
    )
    sinks: tuple[str, ...] = Field(
        ("tensorboard",),
        description="where logged numbers and scores are shown, in addition to metrics.jsonl: "
        "`tensorboard`, by whose events `xdist "
        "status` shows the time left, or your own sink",
    )
