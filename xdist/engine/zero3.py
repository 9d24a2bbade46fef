"""ZeRO-3 where nothing is trained: a model that fits no single device is loaded in parts and evaluated in lockstep."""

from collections.abc import Iterator
from contextlib import contextmanager

import deepspeed
import torch
from transformers.integrations import HfDeepSpeedConfig

from xdist import private
from xdist.model.model import Model
from xdist.run import distributed
from xdist.run.ds_config import DeepSpeed


@contextmanager
def partitioned_loading(config: DeepSpeed) -> Iterator[None]:
    """At stage 3 each rank keeps only its part of the weights that `from_pretrained` reads inside the block."""
    # transformers looks for it as long as it is referenced
    keep = HfDeepSpeedConfig(dict(config.values)) if config.stage == 3 else None
    try:
        yield
    finally:
        del keep


@contextmanager
def gather_module(module: torch.nn.Module) -> Iterator[None]:
    """Inside, the module's own parameters are complete on every rank, although their parts may be elsewhere. Collective at
    stage 3."""
    parameters = [parameter for parameter in module.parameters(recurse=False) if hasattr(parameter, "ds_id")]
    with deepspeed.zero.GatheredParameters(parameters, enabled=bool(parameters)):
        yield


@contextmanager
def place_model(model: Model, config: DeepSpeed) -> Iterator[Model]:
    """The model ready for forward passes: complete on this rank's device, or at stage 3 in parts that every pass gathers, so
    that all ranks must make equally many."""
    if config.stage != 3:
        yield model.to(distributed.device())
        return
    kept = ("zero_optimization", "bf16", "fp16", "train_micro_batch_size_per_gpu", "steps_per_print")
    section = {**config.values["zero_optimization"]}
    section.pop("offload_optimizer", None)
    engine, *_ = deepspeed.initialize(
        model=model,
        config={**{key: config.values[key] for key in kept if key in config.values}, "zero_optimization": section},
        dist_init_required=False,
    )
    engine.eval()
    private.restore_linear()
    try:
        yield engine.module
    finally:
        engine.destroy()
