"""AdamW with no decay on biases and norms, and a rate that rises and falls linearly."""

from typing import Any

from torch import nn, optim

from xdist.config import Train


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained parameters in two groups: matrices decay, biases and norm weights do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # Under ZeRO-3 a partitioned parameter is flat; its shape before partitioning is in ds_shape.
    decayed = [p for p in trained if len(getattr(p, "ds_shape", p.shape)) > 1]
    plain = [p for p in trained if len(getattr(p, "ds_shape", p.shape)) <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def rate(step: int, steps: int, warmup: float) -> float:
    """Factor on the learning rate in 0-based step `step` of `steps`: linear warm-up, then linear decay to 0."""
    rising = warmup * steps if warmup < 1 else warmup
    if step < rising:
        return (step + 1) / (rising + 1)
    return max(0.0, (steps - step) / max(1.0, steps - rising))


def optimizer(model: nn.Module, train: Train, offload: bool) -> optim.Optimizer:
    """torch's AdamW; DeepSpeed's on the CPU where its states are offloaded there, which DeepSpeed then requires."""
    groups = parameter_groups(model, train.weight_decay)
    if offload:
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        return DeepSpeedCPUAdam(groups, lr=train.learning_rate, eps=train.epsilon, adamw_mode=True)
    return optim.AdamW(groups, lr=train.learning_rate, eps=train.epsilon, fused=True)
