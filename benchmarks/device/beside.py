"""The same steps by what would be used instead: Hugging Face's Trainer in bf16 with sdpa, alone and with ZeRO-2, and a plain
loop over the same packed batches with fp32 masters and fused AdamW."""

import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from device.child import Check
from device.setup import Setup
from device.workload import assembled, built, folder_of, rows_for, run_of, set_dropout, timed

TOKENS = 32_000
STEPS = 6
TRAINER, LOOP = 2.0, 1.2  # goals: how many times as fast


def checks(setup: Setup) -> list[tuple[str, Check]]:
    shape = setup.words[0] if setup.words and not setup.tiny else "base"
    own = cache(partial(_own, setup, shape))  # measured once, after Trainer has run alone: that must find no process group
    alone: list[tuple[str, Check]] = [] if setup.tiny else [(f"{shape} Trainer", partial(_trainer, setup, shape, None, own))]
    return [
        *alone,
        (f"{shape} Trainer ZeRO-2", partial(_trainer, setup, shape, 2, own)),
        (f"{shape} plain packed loop", partial(_plain, setup, shape, own)),
    ]


Seconds = Callable[[], dict[str, float]]


def _own(setup: Setup, shape: str) -> dict[str, float]:
    """Seconds of a step of xdist, without dropout and with 0.1."""
    rows, steps = rows_for(TOKENS, setup), 1 if setup.tiny else STEPS
    found = {}
    with assembled(setup, run_of(setup, shape, rows)) as (training, _):
        for dropout in (0.0, 0.1):
            set_dropout(training.engine.module, dropout)
            found[str(dropout)] = timed(setup, training.step, steps)
    return found


def _ratios(theirs: dict[str, float], own: dict[str, float], goal: str, least: float) -> dict[str, Any]:
    ratios = {dropout: round(seconds / own[dropout], 3) for dropout, seconds in theirs.items()}
    milliseconds = {
        side: {dropout: round(1000 * one, 2) for dropout, one in seconds.items()}
        for side, seconds in (("theirs_ms", theirs), ("own_ms", own))
    }
    return {**milliseconds, "times_as_fast": ratios, "goals": {f"{goal}: at least {least}": ratios["0.1"]}}


def _trainer(setup: Setup, shape: str, zero: int | None, own: Seconds) -> Mapping[str, Any]:
    if zero:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
        setup.join()
    found = {}
    for dropout in (0.1,) if setup.tiny else (0.0, 0.1):
        found[str(dropout)] = _trainer_step(setup, shape, zero, dropout)
    goal = f"{shape} times as fast as Trainer{' with ZeRO-2' if zero else ' alone'}"
    return _ratios(found, own(), goal, TRAINER)


def _trainer_step(setup: Setup, shape: str, zero: int | None, dropout: float) -> float:
    import trainer_side
    from transformers import AutoModelForSequenceClassification, TrainerCallback, XLMRobertaForSequenceClassification

    backbone, rows = str(folder_of(setup, shape)), rows_for(TOKENS, setup)
    steps = 1 if setup.tiny else STEPS
    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_arguments: Any, **_options: Any) -> None:
            setup.wait()
            self.began = time.perf_counter()

        def on_step_end(self, *_arguments: Any, **_options: Any) -> None:
            setup.wait()
            seconds.append(time.perf_counter() - self.began)

    class Random:
        """Stands where Trainer's side reads weights."""

        @staticmethod
        def from_pretrained(_backbone: str, **options: Any) -> Any:
            chosen = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, **options}
            kind = XLMRobertaForSequenceClassification
            return built(setup.device, backbone, None, torch.float32, kind=kind, **chosen)

    plain = trainer_side.KINDS["classification"]
    assert plain[0] is AutoModelForSequenceClassification
    trainer_side.KINDS["classification"] = (Random, *plain[1:])
    try:
        made = trainer_side.trainer(
            "classification",
            _rows(setup, shape, (steps + 2) * rows),
            2,
            backbone,
            setup.fresh("trainer"),
            rows,
            steps + 2,
            Clock(),
            deepspeed=trainer_side.DEEPSPEED if zero else None,
        )
        made.train()
    finally:
        trainer_side.KINDS["classification"] = plain
    return sorted(seconds[2:])[len(seconds[2:]) // 2]


def _rows(setup: Setup, shape: str, count: int) -> list[dict[str, Any]]:
    """Rows as preparation leaves them, drawn again from the beginning where there are fewer."""
    from resolved_of import prepared_of, trained_of

    from xdist.data.tokenizer import load_tokenizer

    run = run_of(setup, shape, 1)
    preparation = prepared_of(run, load_tokenizer(run.model.backbone))
    preparation.make_missing()
    (shards,) = preparation.shards(trained_of(run))
    return [shards.row(number % len(shards)) for number in range(count)]


class PlainLoop:
    """Packed batches, weights in bf16 (fp32 on a CPU), masters in fp32, fused AdamW: what a careful user writes without
    DeepSpeed."""

    def __init__(self, model: nn.Module, data: Any, device: torch.device) -> None:
        self.model, self.data, self.device = model, data, device
        self.weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.masters = [parameter.detach().float().clone() for parameter in self.weights]
        self.optimizer = torch.optim.AdamW(self.masters, lr=1e-5, fused=True)

    def step(self, number: int) -> Tensor:
        from xdist.tasks.batch import View

        total = torch.zeros((), device=self.device)
        for batch in (one.to(self.device) for one in self.data.step(number, 0, 1)):
            (outputs,) = self.model(View(batch))
            loss = self.data.families[batch.head].loss(outputs, batch) / self.data.batch_rows
            loss.backward()
            total += loss.detach()
        for master, weight in zip(self.masters, self.weights, strict=True):
            assert weight.grad is not None
            master.grad = weight.grad.float()
            weight.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_([*self.weights], self.masters)
        return total


def _plain(setup: Setup, shape: str, own: Seconds) -> Mapping[str, Any]:
    from resolved_of import data_of, prepared_of

    from xdist.data.tokenizer import load_tokenizer
    from xdist.model.model import Model

    theirs, seconds = {}, own()
    run, steps = run_of(setup, shape, rows_for(TOKENS, setup)), 1 if setup.tiny else STEPS
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    data = data_of(run, preparation)
    data.batch_rows = rows_for(TOKENS, setup)
    dtype = torch.bfloat16 if setup.device.type == "cuda" else torch.float32
    encoder = built(setup.device, run.model, tokenizer, dtype)
    model = Model(encoder, data.families, run.seed).to(setup.device).train()
    loop = PlainLoop(model, data, setup.device)
    for dropout in seconds:
        set_dropout(model, float(dropout))
        theirs[dropout] = timed(setup, loop.step, steps)
    return _ratios(theirs, seconds, f"{shape} times as fast as a plain packed loop", LOOP)
