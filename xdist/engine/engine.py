"""The DeepSpeed engine of a run, and all of its parameters out of it at any ZeRO stage."""

import gc
import math
from collections.abc import Mapping
from types import MethodType
from typing import Any

import deepspeed
import torch
from torch import Tensor, optim
from torch.optim.lr_scheduler import LambdaLR

from xdist import private, private_step
from xdist.config import Train
from xdist.engine import optimizer
from xdist.engine.loss_scale import LossScale
from xdist.errors import UserError
from xdist.model.masks import Masks
from xdist.model.model import Model
from xdist.model.vocabulary import merge_rows
from xdist.run import building, distributed
from xdist.run.arriving import Arriving
from xdist.run.ds_config import DeepSpeed
from xdist.tasks.batch import View


class Engine:
    """A thin hold on the DeepSpeed engine: forward, backward, step, norm.

    `managed_gradient_accumulation` is off: any number of backwards may come before `step`, which is the boundary. The one
    forward that trains goes through `__call__`, every other through `module` (else ZeRO-3 trains wrongly, silently).
    """

    def __init__(self, model: Model, train: Train, config: DeepSpeed, steps: int) -> None:
        model.train()  # an encoder comes out of `from_pretrained` in evaluation mode: without dropout and without checkpointing
        if config.ops and (missing := building.build(config.ops)):
            raise UserError(f"{config.path}: needs {missing[0]} of DeepSpeed's, and {building.IMPOSSIBLE[missing[0]]}")
        made = optimizer.make_optimizer(model, train, config.offload != "none")
        named = {id(parameter): name for name, parameter in model.named_parameters()}
        # The trained parameters in the order of the optimizer's groups; a checkpoint of ZeRO 0 only counts them.
        self.names = [[named[id(parameter)] for parameter in group["params"]] for group in made.param_groups]
        trained = [parameter for group in made.param_groups for parameter in group["params"]]
        self._norm: float | Tensor | None = None
        self._arriving: Arriving | None = None
        self.used_rate = 0.0  # the learning rate of the last step; the highest, where layers have their own
        self.loss_scale = LossScale() if config.precision == "fp16" else None
        self._scale_of_step = 1.0
        if config.stage == 0 and not config.half:
            self._guard(made)
        self.stage, self._clip_at = config.stage, train.clip
        self.precision, self.dtype, self.half = config.precision, config.dtype, config.half
        private.load_muon_uncompiled()
        self.deepspeed, *_ = deepspeed.initialize(
            model=model,
            optimizer=made,
            lr_scheduler=lambda opt: LambdaLR(opt, lambda step: optimizer.rate_factor(step, steps, train.warmup, train.decay)),
            config=dict(config.values),
            dist_init_required=False,
        )
        private_step.in_few_kernels(self.deepspeed)
        self.module: Model = self.deepspeed.module
        # Of 16 bits each: DeepSpeed cannot sum their gradients in fp32 at ZeRO 0, PyTorch can.
        self._summed = trained if config.stage == 0 and config.half else []
        for parameter in self._summed:
            parameter.grad_dtype = torch.float32
        if self._summed:
            private.begin_anew(self.deepspeed.optimizer)
        self.restore_scaling(self.scaling())

    def __call__(self, *views: View, masks: Masks | None = None) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.deepspeed(*views, masks=masks)
        return outputs

    def backward(self, loss: Tensor) -> None:
        # At ZeRO 0 DeepSpeed leaves out the scale that it later divides by.
        self.deepspeed.backward(loss * self.scale if self.stage == 0 else loss, scale_wrt_gas=False)

    def step(self) -> None:
        for parameter in self._summed:
            if parameter.grad is None:  # DeepSpeed would put zeros of 16 bits there
                parameter.grad = torch.zeros_like(parameter, dtype=torch.float32)
        self.settle()
        before, self._scale_of_step, self.used_rate = self.skipped, self.scale, self.rate
        self.deepspeed.step()
        norm = private_step.norm_of_step(self.deepspeed.optimizer)
        if norm is not None:
            self._arriving = Arriving(norm)
        else:
            self._count(self.deepspeed.get_global_grad_norm(), self.skipped > before)

    @property
    def settled(self) -> bool:
        """Whether it is known of the last step if it was made. Where the device decides on it, the next step finds out."""
        return self._arriving is None

    def settle(self) -> None:
        """Find out whether the last step was made; waits for the device where that is not known. The same on all ranks."""
        if self._arriving is not None:
            norm, self._arriving = float(self._arriving.values()), None
            if not math.isfinite(norm):
                private.count_as_skipped(self.deepspeed)
            self._count(norm if math.isfinite(norm) else math.inf, not math.isfinite(norm))

    def _count(self, norm: float | Tensor | None, skipped: bool) -> None:
        self._norm = norm
        if self.loss_scale:
            self.loss_scale.note(skipped)
            private.set_loss_scale(self.deepspeed.optimizer, self.loss_scale.value)

    @property
    def scale(self) -> float:
        """What `backward` multiplies the loss by, so that fp16 has room for its gradient; 1 in every other precision."""
        if not self.loss_scale:
            return 1.0
        self.settle()
        return self.loss_scale.value

    def scaling(self) -> dict[str, Any]:
        """What a checkpoint keeps of the loss scale; nothing where there is none."""
        return {"loss_scale": self.loss_scale.state()} if self.loss_scale else {}

    def restore_scaling(self, state: Mapping[str, Any]) -> None:
        """Resume from the scale in the `state` of a checkpoint, where it has one."""
        if self.loss_scale and "loss_scale" in state:
            self.loss_scale.restore(state["loss_scale"])
            private.set_loss_scale(self.deepspeed.optimizer, self.scale)

    @property
    def rate(self) -> float:
        """The learning rate of the step after those that are settled; the highest, where layers have their own."""
        return float(max(self.deepspeed.get_lr()))

    @property
    def grad_norm(self) -> float:
        """Norm of the last settled step's gradient before clipping; infinite where that was skipped."""
        if self._norm is None:
            return float("nan")
        return float(self._norm) / (
            self._scale_of_step if self.stage == 0 else 1.0
        )  # there DeepSpeed gives that of the scaled one

    @property
    def skipped(self) -> int:
        """Settled steps that were not made because a gradient was not finite."""
        return int(self.deepspeed.skipped_steps)

    def _guard(self, made: optim.Optimizer) -> None:
        """Clip before each update, and make none of a gradient that is not finite, as DeepSpeed itself does at ZeRO 1 to 3.
        Gradients are averaged by now: all ranks decide the same, and on their devices."""
        update = made.step

        def step(_made: optim.Optimizer, closure: None = None) -> None:
            gradients = [p.grad for group in made.param_groups for p in group["params"] if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
            if self._clip_at:
                exact = norm.double()
                private.scale(gradients, torch.where(exact > self._clip_at, self._clip_at / (exact + 1e-6), 1.0).float())
            private_step.update_if_finite(made, norm, update)
            made.norm_of_step = norm  # type: ignore[attr-defined]

        made.step = MethodType(step, made)  # type: ignore[method-assign]

    def state(self) -> dict[str, Tensor]:
        """All parameters and buffers of the model that is saved, on the CPU, on rank 0, with the complete embedding; empty
        elsewhere. Collective; one parameter is complete at a time."""
        whole: dict[str, Tensor] = {}
        first = distributed.rank() == 0
        for name, parameter in self.module.named_parameters():
            if not self.module.is_saved(name):
                continue
            with deepspeed.zero.GatheredParameters([parameter], enabled=hasattr(parameter, "ds_id")):
                if first:
                    whole[name] = parameter.detach().to("cpu", copy=True)
        if first:
            persistent = set(self.module.state_dict())
            whole.update({name: value.cpu() for name, value in self.module.named_buffers() if name in persistent})
        return merge_rows(self.module, whole) if first else whole

    def close(self) -> None:
        """Let go of parameters, gradients and optimizer states; the engine's hooks tie them in cycles. What the process
        computes from here on, such as an evaluation, is to the bit what it would be had the engine never been."""
        self.deepspeed.destroy()
        private.restore_linear()
        self.deepspeed = self.module = None  # type: ignore[assignment]
        gc.collect()
