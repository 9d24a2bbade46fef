"""What is timed: random encoders of XLM-R's shapes, made on the device, trained on pairs of made-up sentences by xdist's own
parts, or on running text; and how steps are timed."""

import json
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from device.setup import Setup
from xdist.config.loading import Source, validated
from xdist.config.run import Run
from xdist.estimate import hours
from xdist.estimate.shapes import BUILT_IN, POSITIONS, Shape, shape_of
from xdist.robust.passes import Chain
from xdist.training.loop import Training

TINY = (400, 64, 2, 4, 128)  # pieces, width, layers, heads, inner width
PAIRS, LINES, TESTED = 6000, 4000, 2000
WORDS = 22  # of a pair, in the mean


def folder_of(setup: Setup, name: str) -> Path:
    """A folder with the tokenizer of the small encoder and the configuration of the shape `name`, without weights."""
    folder = setup.out / "work" / f"shape-{name}"
    if folder.exists():
        return folder
    pieces, width, layers, heads, inner = TINY if setup.tiny else BUILT_IN[f"xlm-roberta-{name}"]
    folder.mkdir(parents=True)
    for file in (setup.goldens / "encoder").iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"vocab_size": pieces, "hidden_size": width, "num_hidden_layers": layers, "intermediate_size": inner}
    config |= {"num_attention_heads": heads, "max_position_embeddings": POSITIONS, "type_vocab_size": 1}
    if name == "xl":
        config |= {"model_type": "xlm-roberta-xl", "architectures": ["XLMRobertaXLModel"]}
    (folder / "config.json").write_text(json.dumps(config))
    _hollow(folder / "model.safetensors", 8 * pieces * width)
    return folder


def _hollow(path: Path, size: int) -> None:
    """A file of weights of `size` bytes that takes no room on the disk: there has to be one, and its content is not read."""
    header = json.dumps({"nothing": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)


def data_of(setup: Setup) -> Path:
    """Pairs of sentences like PAWS-X's in number of words and their spread, and running text, of the small encoder's words."""
    root = setup.out / "work" / "data"
    if root.exists():
        return root
    draw = random.Random(7)
    words = "old new the great and Germany France Kenya euro dollar Latin Greek January".split()  # noqa: SIM905
    pairs, lines, tested = (60, 60, 20) if setup.tiny else (PAIRS, LINES, TESTED)

    def sentence(mean: int) -> str:
        return " ".join(draw.choices(words, k=max(3, round(draw.gauss(mean, mean / 3)))))

    for split, count in (("train", pairs), ("test", tested)):
        path = root / f"pawsx/{split}-en.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(f"{sentence(WORDS // 2)}\t{sentence(WORDS // 2)}\t{draw.randint(0, 1)}\n" for _ in range(count))
        )
    (root / "mlm/en").mkdir(parents=True)
    (root / "mlm/en/text.txt").write_text("".join(sentence(120) + "\n" for _ in range(lines)))
    return root


def run_of(setup: Setup, shape: str, rows: int, zero: str = "zero2", task: str = "pawsx", **robust: Any) -> Run:
    values: dict[str, Any] = {
        "name": "speed",
        "folder": str(setup.out / "work" / "unused"),
        "model": {"backbone": str(folder_of(setup, shape))},
        "data": {"root": str(data_of(setup)), "cache": str(setup.out / "work" / "prepared")},
        "train": {"tasks": [{"task": task}], "steps": 10_000, "batch_size": rows, "learning_rate": 1e-5},
        "robust": robust or {"method": "none"},
        "evaluate": {"tasks": ["pawsx"], "languages": ["en"]},
        "runtime": {
            "deepspeed": zero,
            "precision": "bf16" if setup.device.type == "cuda" else "fp32",
            "micro_batch_tokens": 36_000,
        },
    }
    return validated(Run, values, Source(Path("device_check")))


def built(
    device: torch.device,
    section: Any,
    tokenizer: Any,
    dtype: torch.dtype,
    seed: int | None = None,
    kind: Any = None,
    **options: Any,
) -> Any:
    """A random model made on the device, where `load_encoder` would read one: of the shape in `section.backbone`."""
    from transformers import MODEL_MAPPING, AutoConfig

    from xdist.model import segments
    from xdist.model.encoder import without_pooler

    config = AutoConfig.from_pretrained(section if isinstance(section, str) else section.backbone, **options)
    kind = kind or MODEL_MAPPING[type(config)]
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            model = kind(config, **without_pooler(kind))
    finally:
        torch.set_default_dtype(default)
    if tokenizer is not None:
        segments.enable_segments(model, tokenizer)
    return model


@contextmanager
def assembled(setup: Setup, run: Run) -> Iterator[tuple[Training, Callable[[Run], Training]]]:
    """The training of `run` with random weights, and a function that makes another one of the same engine: other rows, another
    method. One engine serves all that differ in nothing else."""
    from resolved_of import resolved_of

    from xdist.resolve import assembly

    setup.join()
    plain = assembly.load_encoder
    assembly.load_encoder = partial(built, setup.device)  # type: ignore[assignment]
    parts = assembly.Assembly(resolved_of(run))
    preparation = parts.prepare("train")
    made: list[Training] = []
    try:
        made.append(parts.training(preparation))

        def another(other: Run) -> Training:
            data = assembly.Assembly(resolved_of(other)).data(preparation)
            data.packed = made[0].data.packed
            made.append(Training(data, made[0].engine, Chain(other.methods), other.seed, made[0].special_ids))
            return made[-1]

        yield made[0], another
    finally:
        assembly.load_encoder = plain
        for training in made:
            training.input.close()
        if made:
            made[0].engine.close()
        if setup.device.type == "cuda":
            torch.cuda.empty_cache()


def set_dropout(model: nn.Module, share: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share


def rows_for(tokens: int, setup: Setup) -> int:
    """Pairs that together have about this many tokens."""
    return 4 if setup.tiny else max(1, round(tokens / (2.4 * WORDS)))


def timed(setup: Setup, step: Callable[[int], Any], steps: int, warm: int = 2) -> float:
    """Seconds of a step: the median of `steps` after `warm` others, each until the device is done."""
    found = []
    for number in range(warm + steps):
        setup.wait()
        began = time.perf_counter()
        step(number)
        setup.wait()
        found.append(time.perf_counter() - began)
    return statistics.median(found[warm:])


def measured(setup: Setup, training: Training, steps: int, forwards: float = 1.0) -> dict[str, Any]:
    """Seconds, tokens/s, MFU and peak memory of a training's steps. `forwards`: passes that train, in plain ones."""
    if setup.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(setup, training.step, steps)
    batches = [batch for number in range(2, 2 + steps) for batch in training.data.step(number, 0, 1)]
    lengths = [length for batch in batches for length in batch.host_lengths]
    tokens = sum(lengths) / steps
    found: dict[str, Any] = {
        "step_ms": round(1000 * seconds, 2),
        "tokens": round(tokens),
        "per_second": round(tokens / seconds),
    }
    if setup.device.type == "cuda":
        found["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    shape = shape_of(training.engine.module.encoder.config._name_or_path)
    if setup.peak and forwards:
        found["mfu"] = round(forwards * mfu(shape, lengths, tokens / seconds, setup.peak), 3)
    return found


def mfu(shape: Shape, lengths: Sequence[int], tokens_per_second: float, peak: float) -> float:
    """Of plain training: three forward passes a token, over real tokens, without the embedding and without recomputation."""
    attended = sum(length * length for length in lengths) / sum(lengths)
    return 3 * hours.flops(shape, attended) * tokens_per_second / peak


def profiled(setup: Setup, step: Callable[[int], Any], seconds: float) -> dict[str, Any]:
    """Kernels of a step, milliseconds in which the program launches them, and the share of `seconds`, a step's without the
    profiler, in which the device is busy; the five that take most of it."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    if setup.device.type != "cuda":
        return {}
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        step(100)
        setup.wait()
    events = profiler.key_averages()
    kernels = [event for event in events if event.device_type == DeviceType.CUDA]
    busy = sum(event.self_device_time_total for event in kernels)
    launching = sum(event.self_cpu_time_total for event in events if "LaunchKernel" in event.key)
    dearest = sorted(kernels, key=lambda event: -event.self_device_time_total)[:5]
    return {
        "kernels": sum(event.count for event in kernels),
        "launch_ms": round(launching / 1000, 2),
        "busy_share": round(busy / 1e6 / seconds, 3),
        "dearest": {event.key[:60]: round(event.self_device_time_total / max(busy, 1), 3) for event in dearest},
    }
