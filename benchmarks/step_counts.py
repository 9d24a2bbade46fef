"""What a training step costs in things that no machine changes: kernels, collectives, waits; on a CPU, in a minute.

    python benchmarks/step_counts.py [--layers 12] [--deepspeed zero2] [--precision fp32]

Kernels are the operations that PyTorch dispatches and that compute or copy something (of a list of tensors as many as a GPU
takes to go through it), of one step of a small XLM-R, which has as many as a large one of the same layers: of xdist under
`runtime.deepspeed: auto` in bf16, and of a plain PyTorch loop on the same packed batch, with fp32 masters, fused AdamW and
clipping by lists. Waits are counted where the tensors of a step are on a separate device, PyTorch's `meta`: nothing can be
read from it, so what runs there reads nothing, and every copy to it shows whether the program waits for it. What DeepSpeed
reads in a step is counted on the CPU. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]
# Tensors of a list that one kernel takes, by the number of lists (PyTorch's multi_tensor_apply).
AT_ONCE = {1: 110, 2: 64, 3: 48, 4: 36, 5: 30}
NOTHING = {
    *("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach", "alias", "resize_", "set_"),
    *("lift_fresh", "_unsafe_view", "record_stream", "_reshape_alias", "_local_scalar_dense"),
    *("_record_function_enter_new", "_record_function_exit"),
}
READS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "unique_dim", "is_nonzero"}
METHODS = {"plain": "{method: none}", "adversarial": "{method: adversarial, radius: 0.1, steps: 1}"}
META = torch.device("meta")


class Dispatched(TorchDispatchMode):
    """Counts what is dispatched inside: kernels by name, collectives, numbers read, and copies that the program waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.collectives = self.reads = self.blocking = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, options = func._schema.name.split("::")[1], kwargs or {}
        self.reads += name in READS
        if func.namespace == "c10d":
            self.collectives += 1
        elif not func.is_view and name not in NOTHING:
            self.kernels[name] += _launches(name, args)
        found = func(*args, **options)
        if name in ("_to_copy", "copy_") and isinstance(found, Tensor):
            source = args[1] if name == "copy_" else args[0]
            waits = not (options.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2]))
            self.blocking += source.device != found.device and waits
        return found


def _launches(name: str, args: Sequence[Any]) -> int:
    if not name.startswith(("_foreach", "_fused")):
        return 1
    lists = [value for value in args if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor)]
    mixed = name == "_foreach_add_" and len(lists) > 1 and lists[0][0].dtype != lists[1][0].dtype  # then one by one
    return len(lists[0]) if mixed else -(-len(lists[0]) // AT_ONCE[min(len(lists), 5)])


def counted(work: Callable[[], Any]) -> Dispatched:
    with Dispatched() as found:
        work()
    return found


class PlainLoop:
    """One rank: weights in the model's precision, masters in fp32, fused AdamW, everything else by lists of tensors."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.half = self.weights[0].dtype != torch.float32
        self.masters = [weight.detach().float().clone() for weight in self.weights] if self.half else self.weights
        matrices = [one for one in self.masters if one.ndim > 1]
        others = [one for one in self.masters if one.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-5, fused=True)
        for master in self.masters:
            master.grad = torch.zeros_like(master)

    def step(self, batches: Sequence[Any], family: Any, special: Tensor, adversarial: bool) -> None:
        from xdist.tasks.batch import View

        rows = sum(len(batch.row_ids) for batch in batches)
        for weight in self.weights:
            weight.grad = None
        for batch in batches:
            view = View(batch)
            if adversarial:
                view = view.shifted("input", self.worst(batch, family, special))
            (family.loss(self.model(view)[0], batch) / rows).backward()
        if self.half:
            torch._foreach_copy_([one.grad for one in self.masters], [one.grad for one in self.weights])
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0, foreach=True)
        self.optimizer.step()
        if self.half:
            with torch.no_grad():
                torch._foreach_copy_(self.weights, self.masters)

    def worst(self, batch: Any, family: Any, special: Tensor) -> Tensor:
        """One step of the fast gradient method, of each row as far as a tenth of its embeddings' norm."""
        from xdist.tasks.batch import View

        with torch.no_grad():
            vectors = self.model.embedding(batch.tokens).float()
        free = ~torch.isin(batch.tokens, special)[:, None]
        delta = torch.zeros_like(vectors, requires_grad=True)
        loss = family.loss(self.model(View(batch).shifted("input", delta))[0], batch)
        (gradient,) = torch.autograd.grad(loss, delta)

        def norms(states: Tensor) -> Tensor:
            squares = torch.zeros(len(batch.row_ids), device=states.device)
            return squares.index_add(0, batch.token_row, (states * free).square().sum(-1)).sqrt()[batch.token_row, None]

        return 0.1 * norms(vectors) * gradient * free / norms(gradient).clamp_min(1e-12)


class OnDevice:
    """Stands where DeepSpeed's engine does, on a device that DeepSpeed does not know: forward, backward, nothing more."""

    stage, half, scale, loss_scale, skipped, dtype, settled = 0, False, 1.0, None, 0, torch.float32, False

    def __init__(self, model: nn.Module) -> None:
        self.module = model

    def __call__(self, *views: Any, masks: Any = None) -> Any:
        return self.module(*views, masks=masks)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self) -> None:
        pass


def waits(made: Any, model: nn.Module) -> Dispatched:
    """What a step of `made`, a Training, waits for where its tensors are on the device `meta`. PyTorch raises where one is
    read."""
    from xdist.training.loop import Training

    engine: Any = OnDevice(deepcopy(model).to(META).train())
    there = Training(made.data, engine, made.chain, made.seed, made.special_ids.to(META), META)
    try:
        there.step(0)  # what is made once
        return counted(lambda: there.step(1))
    finally:
        there.input.close()


def described(folder: Path, layers: int) -> Path:
    """The YAML of a run of a small encoder on two languages, made below `folder`."""
    from tiny import tiny_benchmark, tiny_model

    root = tiny_benchmark(folder / "benchmark")
    values = {
        "name": "counts",
        "folder": str(folder / "run"),
        "model": {"backbone": str(tiny_model(folder / "encoder", root, layers=layers)), "attention_dropout": 0.0},
        "data": {"root": str(root), "cache": str(folder / "prepared")},
        "train": {
            "tasks": [{"task": "cldr-topic", "languages": ["en", "de"]}],
            "steps": 100,
            "batch_size": 12,
            "learning_rate": 1e-4,
            "weight_decay": 0.01,
        },
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def counts(path: Path, *overrides: str) -> dict[str, Any]:
    """Of a step of the run at `path` on this rank: kernels, those of the plain loop on the same batches, numbers read, and what
    is waited for in it and in each of its micro-batches."""
    from resolved_of import resolved_of

    from xdist.config import load_run
    from xdist.model.encoder import load_encoder
    from xdist.model.model import Model
    from xdist.resolve.assembly import Assembly

    parts = Assembly(resolved_of(load_run(path, overrides)))
    preparation, config = parts.prepare("train"), parts.resolved.deepspeed
    made = parts.training(preparation)
    encoder = load_encoder(parts.resolved.model, preparation.tokenizer, config.dtype)
    model = Model(encoder, made.data.families, made.seed).train()
    for number in (0, 1):  # what is made once
        made.step(number)
    made.engine.settle()
    ours, batches = counted(lambda: made.step(2)), made.input.step(3)
    late = counted(made.engine.settle)
    made.engine.close()
    loop, family = PlainLoop(deepcopy(model)), made.data.families[batches[0].head]
    adversarial = bool(made.chain.methods and not made.chain.methods[0].idle)
    loop.step(batches, family, made.special_ids, adversarial)
    theirs = counted(lambda: loop.step(batches, family, made.special_ids, adversarial))
    waited = waits(made, model)
    made.input.close()
    kernels, plain = ours.kernels.total(), theirs.kernels.total()
    return {
        "deepspeed": config.name,
        "kernels": kernels,
        "plain_kernels": plain,
        "ratio": round(kernels / plain, 3),
        "collectives": ours.collectives,
        "reads": ours.reads,
        "reads_in_the_next_step": late.reads,
        "waits_of_micro_batches": waited.blocking + waited.reads,
        "more": dict((ours.kernels - theirs.kernels).most_common()),
    }


def prepared_ratio(path: Path) -> dict[str, float]:
    """Seconds of a thread's own that making one rank's step of 8,192 rows over 64 ranks takes, over those of collating as many
    rows as it has."""
    from resolved_of import data_of, prepared_of

    from xdist.config import load_run
    from xdist.data.batches import collate
    from xdist.data.tokenizer import load_tokenizer

    pairs = [f"{'old Kenya ' * (5 + number % 17)}{number}\tterritory" for number in range(50_000)]
    (path.parent / "many/cldr-topic").mkdir(parents=True)
    (path.parent / "many/cldr-topic/train-en.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    tasks = "train.tasks=[{task: cldr-topic}]"
    run = load_run(path, ["train.batch_size=8192", f"data.root={path.parent / 'many'}", tasks])
    preparation = prepared_of(run, load_tokenizer(run.model.backbone))
    preparation.make_missing()
    data = data_of(run, preparation)
    (family,) = data.families.values()

    def own(number: int) -> None:
        ids = list(range(8192 // 64))
        shards = data.shards[0]
        rows = [shards.row((7919 * (number * 128 + one)) % len(shards)) for one in ids]
        collate(rows, ids, family, languages=["en"] * len(ids))

    def step(number: int) -> None:
        data.step(number, number % 64, 64)

    seconds = in_turn(step, own)
    return {"prepare_ratio_8192x64": round(seconds[0] / seconds[1], 2), "prepare_ms": round(1000 * seconds[0], 2)}


def in_turn(*works: Callable[[int], None], times: int = 42) -> list[float]:
    """Seconds of a thread's own that each takes in the mean, over seven epochs: the first step of an epoch costs more."""
    found: list[list[float]] = [[] for _ in works]
    for number in range(times + 1):
        for work, seconds in zip(works, found, strict=True):
            began = time.thread_time()
            work(number)
            seconds.append(time.thread_time() - began)
    return [statistics.mean(seconds[1:]) for seconds in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--deepspeed", default="auto")
    parser.add_argument("--precision", default="bf16")
    options = parser.parse_args()
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from xdist.run import distributed, worker

    worker.quiet_libraries()
    distributed.init()
    how = [f"runtime.deepspeed={options.deepspeed}", f"runtime.precision={options.precision}"]
    with tempfile.TemporaryDirectory() as folder:
        path = described(Path(folder), options.layers)
        found = {name: counts(path, f"robust={method}", *how) for name, method in METHODS.items()}
        ratio = prepared_ratio(path)
    distributed.shutdown()
    for name, one in found.items():
        print(f"{name}: {one}")
    plain, adversarial = found["plain"], found["adversarial"]
    told = {
        "deepspeed": plain["deepspeed"],
        "kernels": plain["kernels"],
        "kernels_ratio": plain["ratio"],
        "adversarial_kernels_ratio": adversarial["ratio"],
        "blocking_copies_per_step": max(one["reads"] for one in found.values()),
        "blocking_copies_per_micro_batch": max(one["waits_of_micro_batches"] for one in found.values()),
        **ratio,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
