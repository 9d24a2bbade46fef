"""What the ranks do in a test: each function runs on every rank and returns something JSON can hold, or tensors."""

import logging.handlers
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from distributed.plain_robust import PlainRow
from resolved_of import data_of, prepared_of, resolved_of

from xdist.config import Run, load_run
from xdist.data.batches import TrainingData, row_id
from xdist.data.tokenizer import load_tokenizer
from xdist.engine import optimizer
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.resolve.assembly import Assembly
from xdist.run import distributed
from xdist.training import loop as training


def _training(path: str, overrides: list[str]) -> training.Training:
    parts = _parts(path, overrides)
    return parts.training(parts.prepare("train"))


def _parts(path: str, overrides: list[str]) -> Assembly:
    return Assembly(resolved_of(load_run(Path(path), overrides)))


def losses(path: str, overrides: list[str], steps: int = 10) -> dict[str, Any]:
    """The loss, the robust gap and the gradient norm of each step, and how many micro-batches a step had."""
    made = _training(path, overrides)
    record: dict[str, Any] = {"loss": [], "gap": [], "norm": [], "micros": 0}
    for number in range(steps):
        means = made.step(number).means()
        record["loss"].append(means.pop("train/loss"))
        record["gap"].append(means.get("robust/loss_gap", 0.0))
        made.engine.settle()
        record["norm"].append(made.engine.grad_norm)
        record["scalars"] = means
    record["by_piece"] = made.losses.means()
    record["micros"] = len(made.data.step(0, distributed.rank(), distributed.world()))
    made.close()
    return record


def reduced(path: str, overrides: list[str]) -> dict[str, int]:
    """Bytes that a step passes to reductions over ranks, of its gradients and of its counts, and bytes of what it trains."""
    made = _training(path, overrides)
    sent: list[int] = []
    plain = {name: getattr(torch.distributed, name) for name in ("all_reduce", "reduce", "reduce_scatter_tensor")}

    def counting(name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            tensors = [value for value in (*arguments, *options.values()) if isinstance(value, torch.Tensor)]
            sent.append(max(tensor.numel() * tensor.element_size() for tensor in tensors))
            return plain[name](*arguments, **options)

        return call

    for name in plain:
        setattr(torch.distributed, name, counting(name))
    try:
        made.step(0)
    finally:
        for name, function in plain.items():
            setattr(torch.distributed, name, function)
    trained = sum(value.numel() * value.element_size() for value in made.engine.module.parameters() if value.requires_grad)
    made.engine.close()
    return {"reduced": sum(sent), "trained": trained}


def in_training_mode(path: str, overrides: list[str]) -> list[int]:
    """Modules that are in training mode, and all of them."""
    made = _training(path, overrides)
    modules = list(made.engine.module.modules())
    made.engine.close()
    return [sum(module.training for module in modules), len(modules)]


def linear_is_plain() -> bool:
    """Whether layers multiply as PyTorch does: DeepSpeed replaces that for a complete process."""
    return torch.nn.functional.linear is torch._C._nn.linear


def compiler_is_loaded() -> bool:
    return "torch._inductor.compile_fx" in sys.modules


def gradient(path: str, overrides: list[str]) -> dict[str, torch.Tensor]:
    """The gradient of the first step: what plain SGD of rate 1 takes off the parameters."""
    made_adam = optimizer.make_optimizer
    optimizer.make_optimizer = lambda model, train, offload: torch.optim.SGD(  # type: ignore[assignment]
        [parameter for parameter in model.parameters() if parameter.requires_grad], lr=train.learning_rate, fused=True
    )
    try:
        made = _training(path, [*overrides, "train.learning_rate=1", "train.warmup=0", "train.clip=0"])
    finally:
        optimizer.make_optimizer = made_adam
    before = made.engine.state()
    made.step(0)
    after = made.engine.state()
    made.close()
    return {name: before[name] - after[name] for name in before}


def perturbed_gradient(path: str, overrides: list[str]) -> dict[str, torch.Tensor]:
    """The same gradient by a plain PyTorch loop over rows (plain_robust.py). Reads only the plan, for which rows the first step
    has."""
    run = load_run(Path(path), overrides)
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    made = data_of(run, preparation)
    model = _reference_model(run, tokenizer, made)
    draws = made.plan.step(0)
    special = torch.tensor(sorted(tokenizer.all_special_ids))
    for source, number in zip(draws.source.tolist(), draws.row.tolist(), strict=True):
        row = PlainRow(model, "cldr-topic", made.shards[source].row(number), row_id(source, number), special, run.seed)
        for loss in row.losses(run.methods):
            (loss / len(draws.row)).backward()
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def _reference_model(run: Run, tokenizer: Any, data: TrainingData) -> Any:
    model = Model(load_encoder(run.model, tokenizer, torch.float32), data.families, run.seed)
    return model.train()


def _data(run: Run) -> TrainingData:
    preparation = prepared_of(run, load_tokenizer(run.model.backbone))
    preparation.make_share(distributed.rank(), distributed.world())
    return data_of(run, preparation)


def dealt(path: str, overrides: list[str]) -> list[list[int]]:
    """The row ids that this rank sees in each of five steps."""
    run = load_run(Path(path), overrides)
    made = _data(run)
    steps = [made.step(number, distributed.rank(), distributed.world()) for number in range(5)]
    return [[row for batch in step if not batch.dummy for row in batch.row_ids.tolist()] for step in steps]


def shared_memory() -> list[str]:
    """What DeepSpeed's CPU collective left in shared memory under this group's name."""
    distributed.sum_over_ranks([1.0])
    group = f"{os.environ['MASTER_ADDR']}_{os.environ['MASTER_PORT']}"
    return [path.name for path in Path("/dev/shm").glob(f"deepspeed_*{group}*")]


def whole_run(path: str, overrides: list[str], stop_at: int | None = None) -> dict[str, Any]:
    """Train a run to its end (or to a stop file that appears at a step) and evaluate it; parameters as one checksum list."""
    parts = _parts(path, overrides)
    run, folder, preparation = parts.run, parts.resolved.folder, parts.prepare("train")
    if distributed.rank() == 0:
        folder.open(run, parts.resolved.deepspeed, {})
    distributed.barrier()
    plain_step = training.Training.step
    if stop_at is not None:

        def stepping(self: training.Training, number: int, stop: bool = False) -> training.StepRecord:
            if number == stop_at and distributed.rank() == 0:
                folder.stop.touch()
            return plain_step(self, number, stop)

        training.Training.step = stepping  # type: ignore[method-assign]
    try:
        finished = parts.train(preparation)
    finally:
        training.Training.step = plain_step  # type: ignore[method-assign]
    if finished and run.evaluate:
        parts.evaluate(preparation)
    if distributed.rank() == 0:
        folder.mark("finished" if finished else "unfinished")
    return {"finished": finished}


def suspended_run(path: str, overrides: list[str], stop_at: int, silence: float) -> dict[str, Any]:
    """A complete run under a heartbeat, in which this rank stops itself before a step, as a suspension of the job does."""
    from xdist.run.heartbeat import End, Heartbeat

    plain_step = training.Training.step

    def step(self: training.Training, number: int, stop: bool = False) -> training.StepRecord:
        if number == stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        return plain_step(self, number, stop)

    def over(end: End) -> None:
        print(end, file=sys.stderr, flush=True)
        os._exit(1)

    beats = Heartbeat(over, beat=0.1, silence=silence)
    training.Training.step = step  # type: ignore[method-assign]
    try:
        return whole_run(path, overrides)
    finally:
        training.Training.step = plain_step  # type: ignore[method-assign]
        beats.stop()


def together(where: str, rank: int, kind: str) -> dict[str, Any]:
    """What this rank gets of a function that fails with an error of this kind on one rank, or on none (-1)."""
    from xdist import errors
    from xdist.run.together import on_each, on_first

    called = False

    def work() -> dict[str, int]:
        nonlocal called
        called = True
        if distributed.rank() == rank:
            raise getattr(errors, kind, OSError)("no such file")
        return {"rank": distributed.rank()}

    try:
        value, error = (on_first if where == "first" else on_each)(work), None
    except Exception as caught:
        value, error = None, [type(caught).__name__, str(caught)]
    distributed.barrier()  # no rank is out of step
    return {"called": called, "value": value, "error": error}


def warned_run(path: str, overrides: list[str]) -> dict[str, Any]:
    """Train and evaluate; what this rank was warned of."""
    told = logging.handlers.BufferingHandler(10_000)
    logging.getLogger("xdist").addHandler(told)
    try:
        done = whole_run(path, overrides)
    finally:
        logging.getLogger("xdist").removeHandler(told)
    return {**done, "told": [record.getMessage() for record in told.buffer if record.levelno >= logging.WARNING]}


def judged(path: str, overrides: list[str]) -> float:
    """What the untrained model of a run is worth on dev."""
    parts = _parts(path, overrides)
    preparation = parts.prepare("train")
    made = parts.training(preparation)
    judge = parts.judge(preparation)
    assert judge
    value = judge(made.engine.module)
    made.close()
    return value


def noise_of_rows(path: str, overrides: list[str]) -> dict[str, list[float]]:
    """The first numbers of every row's noise in step 3, by row."""
    from xdist.robust.noise import gaussian

    run = load_run(Path(path), overrides)
    made = _data(run)
    found = {}
    for batch in made.step(3, distributed.rank(), distributed.world()):
        if not batch.dummy:
            noise = gaussian(batch, 8, seed=1, step=3, stream=0)
            for place, row in enumerate(batch.row_ids.tolist()):
                found[str(row)] = noise[batch.token_row == place].flatten().tolist()
    return found


def remove(path: str) -> None:
    distributed.barrier()
    if distributed.rank() == 0:
        shutil.rmtree(path, ignore_errors=True)
    distributed.barrier()


def evaluate_copy(path: str, overrides: list[str], source: str) -> None:
    """Evaluate a copy of the model folder `source` as if this run had trained it."""
    parts = _parts(path, overrides)
    if distributed.rank() == 0:
        shutil.copytree(source, parts.resolved.folder.model)
    distributed.barrier()
    parts.evaluate(parts.prepare("train"))


def evaluate_stopped(
    path: str, overrides: list[str], source: str = "", stop_rank: int = -1, batches: int = 0
) -> dict[str, Any]:
    """Evaluate a copy of the model folder `source`, or continue with it; `stop_rank` is sent SIGTERM in its forward pass number
    `batches`. Whether it was finished, and the rows that this rank computed."""
    from xdist.evaluation import evaluator

    parts = _parts(path, overrides)
    if source and distributed.rank() == 0:
        shutil.copytree(source, parts.resolved.folder.model)
    distributed.barrier()
    passes, rows, plain = 0, 0, evaluator.forward_once

    def once(model: Any, family: Any, batch: Any) -> torch.Tensor:
        nonlocal passes, rows
        passes, rows = passes + 1, rows + len(batch.row_ids)
        if distributed.rank() == stop_rank and passes == batches:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(model, family, batch)

    evaluator.forward_once = once
    try:
        finished = parts.evaluate(parts.prepare("evaluate"))
    finally:
        evaluator.forward_once = plain
    if distributed.rank() == 0:
        parts.resolved.folder.mark("finished" if finished else "unfinished")
    distributed.barrier()
    return {"finished": finished, "rows": rows}


def evaluated(overrides: list[str]) -> None:
    """Evaluate a run that is described by overrides alone and trains nothing."""
    parts = _parts(os.devnull, overrides)
    parts.evaluate(parts.prepare("evaluate"))


def run_in_want_of_room(path: str, overrides: list[str], rank: int, writable: int, saves: list[int]) -> dict[str, Any]:
    """Train with `rank` unable to write shards of more than `writable` bytes during some of its saves, counted from 0."""
    import resource

    from xdist.checkpoint import state_shards, store
    from xdist.errors import RunError

    plain_begin, plain_write = store.Saving.__init__, state_shards.write_shard
    count = -1

    def begin(*arguments: Any) -> None:
        nonlocal count
        count += 1
        plain_begin(*arguments)

    def write(*arguments: Any) -> dict[str, Any]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if distributed.rank() == rank and count in saves:
            resource.setrlimit(resource.RLIMIT_FSIZE, (writable, limits[1]))
        try:
            return plain_write(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    store.Saving.__init__, state_shards.write_shard = begin, write  # type: ignore[method-assign]
    try:
        return {**whole_run(path, overrides), "error": ""}
    except RunError as error:
        return {"finished": False, "error": str(error)}
    finally:
        store.Saving.__init__, state_shards.write_shard = plain_begin, plain_write  # type: ignore[method-assign]


def run_with_bad_numbers(path: str, overrides: list[str], rank: int, steps: list[int]) -> dict[str, Any]:
    """Train with losses on `rank` that are not a number in some steps."""
    from xdist.errors import RunError
    from xdist.robust.passes import Pass

    plain_loss, plain_step = Pass.loss, training.Training.step
    current = -1

    def loss(self: Pass, outputs: Any, family: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
        whole, parts = plain_loss(self, outputs, family)
        return whole * float("nan") if current in steps and distributed.rank() == rank else whole, parts

    def step(self: training.Training, number: int, stop: bool = False) -> training.StepRecord:
        nonlocal current
        current = number
        return plain_step(self, number, stop)

    Pass.loss, training.Training.step = loss, step  # type: ignore[method-assign]
    try:
        return {**whole_run(path, overrides), "error": ""}
    except RunError as error:
        return {"finished": False, "error": str(error)}
    finally:
        Pass.loss, training.Training.step = plain_loss, plain_step  # type: ignore[method-assign]


def replayed(path: str, overrides: list[str], step: int) -> list[str]:
    """What a replay of a step says."""
    from xdist.training.replay import replay_step

    parts = _parts(path, overrides)
    return replay_step(parts.training(parts.prepare("train")), parts.resolved.folder.checkpoints, step)
