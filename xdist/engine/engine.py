"""The DeepSpeed engine of a run, and the whole of its parameters out of it at any ZeRO stage."""

import gc
import math
from types import MethodType

import deepspeed
import torch
from torch import Tensor, optim
from torch.optim.lr_scheduler import LambdaLR

from xdist import private
from xdist.config import Train
from xdist.engine import optimizer
from xdist.model.masks import Masks
from xdist.model.model import Model
from xdist.model.vocabulary import merged
from xdist.run import distributed
from xdist.run.ds_config import DeepSpeed
from xdist.tasks.batch import View


class Engine:
    """A thin hold on the DeepSpeed engine: forward, backward, step, norm.

    `managed_gradient_accumulation` is off: any number of backwards may come before `step`, which is the boundary. The one
    forward that trains goes through `__call__`, every other through `module` (else ZeRO-3 trains wrongly, silently).
    """

    def __init__(self, model: Model, train: Train, config: DeepSpeed, steps: int) -> None:
        model.train()  # an encoder comes out of `from_pretrained` in evaluation mode: without dropout and without checkpointing
        made = optimizer.optimizer(model, train, config.offload != "none")
        named = {id(parameter): name for name, parameter in model.named_parameters()}
        # The trained parameters in the order of the optimizer's groups; a checkpoint of ZeRO 0 only counts them.
        self.names = [[named[id(parameter)] for parameter in group["params"]] for group in made.param_groups]
        self._norm_hook: float | None = None
        if config.stage == 0 and config.precision == "fp32":
            self._guard(made)
        self.stage, self._clip_at = config.stage, train.clip
        private.load_muon_uncompiled()
        self.deepspeed, *_ = deepspeed.initialize(
            model=model,
            optimizer=made,
            lr_scheduler=lambda opt: LambdaLR(opt, lambda step: optimizer.rate(step, steps, train.warmup)),
            config=dict(config.values),
            dist_init_required=False,
        )
        self.module: Model = self.deepspeed.module

    def __call__(self, *views: View, masks: Masks | None = None) -> tuple[Tensor, ...]:
        return self.deepspeed(*views, masks=masks)

    def backward(self, loss: Tensor) -> None:
        self.deepspeed.backward(loss, scale_wrt_gas=False)

    def step(self) -> None:
        self.deepspeed.step()

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.deepspeed.get_lr()[0]

    @property
    def grad_norm(self) -> float:
        """Norm of the last step's gradient before clipping."""
        norm = self._norm_hook if self._norm_hook is not None else self.deepspeed.get_global_grad_norm()
        return float(norm) if norm is not None else float("nan")

    @property
    def skipped(self) -> int:
        """Steps that were not made because a gradient was not finite."""
        return self.deepspeed.skipped_steps

    def _guard(self, made: optim.Optimizer) -> None:
        """Clip before each update, and make none of a gradient that is not finite, as DeepSpeed itself does at ZeRO 1 to 3 by
        an attribute `overflow`. Gradients are averaged by now: all ranks decide alike."""
        update = made.step

        def step(_made: optim.Optimizer, closure: None = None) -> None:
            gradients = [p.grad for group in made.param_groups for p in group["params"] if p.grad is not None]
            norm = self._norm_hook = float(torch.nn.utils.get_total_norm(gradients))
            private.counted_as_skipped(made, not math.isfinite(norm))
            if math.isfinite(norm):
                if self._clip_at and norm > self._clip_at:
                    private.scale(gradients, self._clip_at / (norm + 1e-6))
                update()

        made.step = MethodType(step, made)  # type: ignore[method-assign]

    def state(self) -> dict[str, Tensor]:
        """All parameters and buffers on the CPU, on rank 0, with the whole of the embedding; empty elsewhere. Collective; one
        parameter is whole at a time."""
        whole: dict[str, Tensor] = {}
        first = distributed.rank() == 0
        for name, parameter in self.module.named_parameters():
            with deepspeed.zero.GatheredParameters([parameter], enabled=hasattr(parameter, "ds_id")):
                if first:
                    whole[name] = parameter.detach().to("cpu", copy=True)
        if first:
            persistent = set(self.module.state_dict())
            whole.update({name: value.cpu() for name, value in self.module.named_buffers() if name in persistent})
        return merged(self.module, whole) if first else whole

    def close(self) -> None:
        """Let go of parameters, gradients and optimizer states; the engine's hooks tie them in cycles. What the process
        computes from here on, such as an evaluation, is to the bit what it would be had the engine never been."""
        self.deepspeed.destroy()
        private.restore_linear()
        self.deepspeed = self.module = None  # type: ignore[assignment]
        gc.collect()
