"""AdamW with no decay on biases and norms, a rate that rises linearly and falls, and lower rates for lower layers."""

import math
from collections.abc import Iterable
from typing import Any

from torch import nn, optim

from xdist.config import Train
from xdist.model.kinds import kind_of
from xdist.model.layers import depth_of, has_numbered_layers
from xdist.model.model import Model


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained parameters in two groups: matrices decay, biases and norm weights do not."""
    return _groups(model.parameters(), weight_decay)


def _groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    # Under ZeRO-3 a partitioned parameter is flat; its shape before partitioning is in ds_shape.
    decayed = [p for p in trained if len(getattr(p, "ds_shape", p.shape)) > 1]
    plain = [p for p in trained if len(getattr(p, "ds_shape", p.shape)) <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def layered_groups(model: Model, train: Train) -> list[dict[str, Any]]:
    """Trained parameters by depth, from the top down, each depth in up to two groups as `parameter_groups` has them. Heads, and
    what of the encoder belongs to no layer, are at the top; the embeddings one below the first layer. Raises UserError for an
    encoder whose layers share their weights."""
    config, factor = model.encoder.config, train.layer_decay
    kind, top = kind_of(config), config.num_hidden_layers
    if not has_numbered_layers(kind):
        raise train.error(("layer_decay",), f"the layers of encoders of type '{config.model_type}' share their weights")
    by_depth: dict[int, dict[str, nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        own = depth_of(name.removeprefix("encoder."), kind) if name.startswith("encoder.") else None
        by_depth.setdefault(top if own is None else own, {})[name] = parameter
    found: list[dict[str, Any]] = []
    for at, parameters in sorted(by_depth.items(), reverse=True):
        lr = train.learning_rate * (factor or 1.0) ** (top - at)
        found += [{**group, "lr": lr} for group in _groups(parameters.values(), train.weight_decay) if group["params"]]
    return found


def rate_factor(step: int, steps: int, warmup: float, decay: str = "linear") -> float:
    """Factor on the learning rate in 0-based step `step` of `steps`: linear warm-up, then decay to 0 along a line or half a
    cosine, or none."""
    rising = warmup * steps if warmup < 1 else warmup
    if step < rising:
        return (step + 1) / (rising + 1)
    left = max(0.0, (steps - step) / max(1.0, steps - rising))
    if decay == "cosine":
        return (1 - math.cos(math.pi * min(left, 1.0))) / 2
    return 1.0 if decay == "constant" else left


def make_optimizer(model: Model, train: Train, offload: bool) -> optim.Optimizer:
    """torch's AdamW; DeepSpeed's on the CPU where its states are offloaded there, which DeepSpeed then requires."""
    layered = train.layer_decay is not None
    groups = layered_groups(model, train) if layered else parameter_groups(model, train.weight_decay)
    how: dict[str, Any] = {"lr": train.learning_rate, "betas": train.betas, "eps": train.epsilon}
    if offload:
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        offloaded: optim.Optimizer = DeepSpeedCPUAdam(groups, **how, adamw_mode=True)
        return offloaded
    return optim.AdamW(groups, **how, fused=True)
