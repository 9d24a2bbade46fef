"""How fast is training? xdist against Hugging Face's Trainer with DeepSpeed, on PAWS-X, POS, TyDiQA and running text.

    python benchmarks/train_speed.py --data DOWNLOAD_FOLDER [--encoder FOLDER|KIND | --shape base] [--rounds 5] [--only PART …]
    python benchmarks/train_speed.py --data DOWNLOAD_FOLDER --quick        # a tiny encoder: does it run? its ratios say nothing

Two ranks of one thread each, ZeRO-2, fp32 (bf16 on CUDA), the same examples in a global batch, dropout as the encoder has it.
Both sides run in the same processes and make their steps in turn, so other work of the machine affects both; a ratio
is the median over rounds of Trainer's seconds over xdist's, after one round to warm up. Trainer keeps its defaults
(trainer_side.py).

finetune     PAWS-X, POS, TyDiQA, one after another: `finetune_ratio` is the geometric mean of the three
adversarial  the same with one ascent step; Trainer by a subclass that perturbs `inputs_embeds`
mlm          masked language modelling on the New Testament in Swahili and Ukrainian
memory       peak memory of a rank in its own process group: `memory_ratio` is xdist's over Trainer's
startup      from the command to the first step done, nothing prepared: Trainer's seconds over xdist's

On CUDA also printed: seconds per 1,000 PAWS-X examples and MFU over real tokens (encoder and attention, not the embedding) of a
`--peak` TFLOP/s. Last line: one JSON object. `evaluate_ratio` is evaluate_speed.py's `ratio_padded`.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PARTS = ("finetune", "adversarial", "mlm", "memory", "startup")
FINETUNED = ("pawsx", "udpos", "tydiqa")
MLM = ("bible", ("sw", "uk"))
KINDS = ("modernbert", "eurobert")
SHAPES = {"base": (12, 768), "large": (24, 1024)}
ROWS = 2000  # that Trainer's dataset holds; it draws a few hundred of them


def main() -> None:
    options = _options()
    if "RANK" in os.environ:
        _rank(options)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options.data = str(_data(Path(options.data), folder / "data"))
        if options.encoder is None or options.encoder in KINDS:
            options.encoder = str(_encoder(options, folder))
        options.cache = str(folder / "prepared")
        result: dict[str, float] = {}
        for part in options.only:
            result |= {"memory": _memory, "startup": _startup}.get(part, _speed)(options, folder, part)
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the download/ folder of the official scripts; running text under mlm/")
    parser.add_argument("--encoder", help=f"a model folder, or {', '.join(KINDS)} with random weights; default: the demo's")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="random weights in XLM-R's shape instead")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="examples in a step, over all ranks")
    parser.add_argument("--mlm-batch", type=int, default=16, help="the same for mlm: Trainer keeps all logits of a token")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens of a micro-batch of xdist")
    parser.add_argument("--deepspeed", default="auto", help="runtime.deepspeed of xdist")
    parser.add_argument(
        "--tasks", nargs="+", choices=FINETUNED, default=list(FINETUNED), help="of the parts finetune and adversarial"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    parser.add_argument("--peak", type=float, default=989.0, help="dense bf16 TFLOP/s of the GPU, for MFU")
    parser.add_argument("--quick", action="store_true")
    for hidden in ("--cache", "--out", "--part", "--side"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.batch = 2, 8
    return options


def _data(source: Path, folder: Path) -> Path:
    """The files under the names of the official layouts; where PAWS-X's training pairs are not at hand its dev pairs do."""
    for name in ("udpos", "tydiqa", "mlm"):
        if (source / name).is_dir():
            folder.mkdir(exist_ok=True)
            (folder / name).symlink_to((source / name).resolve())
    pairs = source / "pawsx/train-en.tsv"
    (folder / "pawsx").mkdir(parents=True)
    (folder / "pawsx/train-en.tsv").symlink_to((pairs if pairs.is_file() else source / "pawsx/dev-en.tsv").resolve())
    return folder


def _encoder(options: argparse.Namespace, folder: Path) -> Path:
    from xdist.demo.encoder import build_encoder
    from xdist.demo.tiny import tiny_encoder

    if options.quick:
        lines = Path(options.data, "pawsx/train-en.tsv").read_text(encoding="utf-8").splitlines()
        return tiny_encoder(folder / "encoder", lines[:500])
    build_encoder(folder / "encoder")
    if options.encoder:
        return _of_kind(folder / "encoder", folder / options.encoder, options.encoder)
    return _shaped(folder / "encoder", folder / "shaped", *SHAPES[options.shape]) if options.shape else folder / "encoder"


def _shaped(demo: Path, folder: Path, layers: int, hidden: int) -> Path:
    """A random encoder of XLM-R's shape with the demo's tokenizer."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    config = AutoConfig.from_pretrained(demo)
    config.num_hidden_layers, config.hidden_size, config.intermediate_size = layers, hidden, 4 * hidden
    config.num_attention_heads = hidden // 64
    AutoModel.from_config(config, add_pooling_layer=False).save_pretrained(folder)
    AutoTokenizer.from_pretrained(demo).save_pretrained(folder)
    return folder


def _of_kind(demo: Path, folder: Path, kind: str) -> Path:
    """A random encoder of another kind, in the demo's width and depth and with its tokenizer."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos", "cls", "sep", "mask")}
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 384, "num_hidden_layers": 12, "intermediate_size": 1152}
    config = AutoConfig.for_model(kind, **sizes, num_attention_heads=6, max_position_embeddings=8192, **ids)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _speed(options: argparse.Namespace, folder: Path, part: str) -> dict[str, float]:
    ratios = []
    for task in (MLM[0],) if part == "mlm" else options.tasks:
        found = _ranks(options, folder, part, task)
        pairs = list(zip(found["trainer"], found["xdist"], strict=True))
        ratios.append(statistics.median(theirs / own for theirs, own in pairs))
        print(f"{part:<12} {task:<8} {'s a step: xdist':>16} {statistics.median(found['xdist']):8.3f}", end="")
        print(f"  Trainer {statistics.median(found['trainer']):8.3f}  x{ratios[-1]:.2f}  rounds", end=" ")
        print(" ".join(f"{theirs / own:.2f}" for theirs, own in pairs), flush=True)
        for line in found["said"]:
            print(f"{'':<12} {line}")
    return {f"{part}_ratio": math.exp(statistics.fmean(map(math.log, ratios)))}


def _memory(options: argparse.Namespace, folder: Path, part: str) -> dict[str, float]:
    peaks = {side: _ranks(options, folder, part, "pawsx", side)["peak"] for side in ("xdist", "trainer")}
    print(
        f"{part:<12} {'pawsx':<8} GB a rank: xdist {peaks['xdist'] / 1e9:.3f}  Trainer {peaks['trainer'] / 1e9:.3f}", flush=True
    )
    return {"memory_ratio": peaks["xdist"] / peaks["trainer"]}


def _startup(options: argparse.Namespace, folder: Path, part: str) -> dict[str, float]:
    import yaml

    from xdist.launch import local

    seconds: dict[str, list[float]] = {"xdist": [], "trainer": []}
    for number in range(1 if options.quick else 3):
        place = folder / f"start-{number}"
        place.mkdir()
        run = _values(options, "pawsx", {"method": "none"}, steps=1)
        run |= {"folder": str(place / "run"), "data": {**run["data"], "cache": str(place / "prepared")}}
        run["runtime"] |= {"ranks": options.ranks, "log_every": 1}
        (place / "run.yaml").write_text(yaml.safe_dump(run))
        own = local.command("train", place / "run.yaml", [], options.ranks)
        words = ["--train", f"{options.data}/pawsx/train-en.tsv", "--encoder", options.encoder, "--out", str(place / "first")]
        words += ["--per-rank", str(options.batch // options.ranks)]
        other = [*own[:-2], str(Path(__file__).with_name("trainer_side.py")), *words]
        seconds["xdist"].append(_until(own, place / "run/metrics.jsonl", options))
        seconds["trainer"].append(_until(other, place / "first", options))
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    print(f"{part:<12} {'pawsx':<8} s to step 1: xdist {medians['xdist']:.1f}  Trainer {medians['trainer']:.1f}", flush=True)
    return {"startup_ratio": medians["trainer"] / medians["xdist"]}


def _until(command: list[str], file: Path, options: argparse.Namespace) -> float:
    """Seconds from the start of `command` until `file` holds something."""
    from xdist.launch import local

    environment = {**local.environment(options.ranks), "OMP_NUM_THREADS": str(options.threads)}
    # The ninja that xdist takes: with another one Trainer's ranks would compile DeepSpeed's collective again.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not (file.exists() and file.stat().st_size):
        assert process.poll() in (None, 0), command
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    assert process.wait() == 0, command
    return seconds


def _ranks(options: argparse.Namespace, folder: Path, part: str, task: str, side: str = "both") -> dict[str, Any]:
    """What rank 0 of a fresh process group found out."""
    out = folder / "found.json"
    given = {**vars(options), "part": f"{part}:{task}", "side": side, "out": str(out)}
    words = ["--quick"] if given.pop("quick") else []
    given.pop("only"), given.pop("tasks")
    language_batch = given.pop("mlm_batch")
    if part == "mlm":
        given["batch"] = language_batch
    words += [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    environment = {
        **os.environ,
        "WORLD_SIZE": str(options.ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(29500 + os.getpid() % 1000),
        "OMP_NUM_THREADS": str(options.threads),
        "TRANSFORMERS_VERBOSITY": "error",
    }
    started = [
        subprocess.Popen([sys.executable, __file__, *words], env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(options.ranks)
    ]
    assert [process.wait() for process in started] == [0] * options.ranks
    return json.loads(out.read_text())


def _values(options: argparse.Namespace, task: str, robust: dict[str, Any], steps: int) -> dict[str, Any]:
    import torch

    languages = MLM[1] if task == MLM[0] else ("en",)
    return {
        "name": "speed",
        "folder": "unused",
        "model": {"backbone": options.encoder},
        "data": {"root": options.data, "cache": options.cache},
        "train": {
            "tasks": [{"task": task, "languages": list(languages)}],
            "steps": steps,
            "batch_size": options.batch,
            "learning_rate": 2e-5,
        },
        "robust": robust,
        "runtime": {
            "deepspeed": options.deepspeed,
            "precision": "bf16" if torch.cuda.is_available() else "fp32",
            "micro_batch_tokens": options.tokens,
        },
    }


def _rank(options: argparse.Namespace) -> None:
    import torch
    from trainer_side import trainer
    from transformers import TrainerCallback

    from xdist.config.loading import Source, validated
    from xdist.config.run import Run
    from xdist.resolve.assembly import Assembly
    from xdist.resolve.resolved import resolve
    from xdist.run import distributed, worker

    worker.quiet_libraries()
    torch.set_num_threads(options.threads)
    part, task = options.part.split(":")
    robust = {"method": "adversarial", "steps": 1} if part == "adversarial" else {"method": "none"}
    run = validated(Run, _values(options, task, robust, options.rounds + 1), Source(Path("benchmark")))
    distributed.init()
    parts = Assembly(resolve(run))
    preparation = parts.prepare("train")
    data = parts.data(preparation)
    found: dict[str, Any] = {"xdist": [], "trainer": [], "said": [], "peak": 0.0}
    training = parts.training(preparation) if options.side != "trainer" else None

    def step(number: int) -> float:
        """Seconds of one step of xdist, of the slowest rank."""
        assert training
        distributed.barrier()
        began = time.perf_counter()
        record = training.step(number)
        record.means()  # waits for the device
        distributed.barrier()
        seconds = time.perf_counter() - began
        if torch.cuda.is_available() and number == options.rounds:
            found["said"] = _said(options, training, record.tokens, seconds)
        return seconds

    class InTurn(TrainerCallback):
        """After every step of Trainer one of xdist; both timed."""

        def on_train_begin(self, *_arguments: Any, **_options: Any) -> None:
            distributed.barrier()
            self.began = time.perf_counter()

        def on_step_end(self, _arguments: Any, state: Any, *_rest: Any, **_options: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            distributed.barrier()
            theirs = time.perf_counter() - self.began
            own = step(state.global_step - 1) if training else 0.0
            if state.global_step > 1:
                found["trainer"].append(theirs)
                found["xdist"].append(own)
            self.began = time.perf_counter()

    if options.side == "xdist":
        found["xdist"] = [step(number) for number in range(options.rounds)]
    else:
        shards, family = data.shards[0], data.subsets[0].task.family
        rows = [shards.row(number) for number in range(min(ROWS, len(shards)))]
        labels = len(data.subsets[0].task.labels)
        per_rank = options.batch // options.ranks
        where = Path(options.out).parent / "trainer"
        steps = options.rounds + (options.side == "both")
        made = (family, rows, labels, options.encoder, where, per_rank, steps, InTurn(), part == "adversarial")
        trainer(*made).train()
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _resident()
    found["peak"] = max(distributed.every(peak))
    if distributed.rank() == 0:
        Path(options.out).write_text(json.dumps(found))
    if training:
        training.close()
    distributed.shutdown()


def _resident() -> int:
    """Bytes of memory that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _said(options: argparse.Namespace, training: Any, tokens: float, seconds: float) -> list[str]:
    """Of plain training on a GPU: 6 FLOP a token and encoder weight, 12 L d a token and token it attends to."""
    config = training.engine.module.encoder.config
    layers, width = config.num_hidden_layers, config.hidden_size
    weights = layers * (4 * width * width + 2 * width * config.intermediate_size)
    flops = tokens * (6 * weights + 12 * layers * width * tokens / options.batch)  # as if all rows were of the mean length
    share = flops / seconds / options.ranks / (options.peak * 1e12)
    return [
        f"{1000 * seconds / options.batch:.2f} s per 1,000 examples, {tokens / seconds:.0f} tokens/s, MFU {100 * share:.1f} %"
    ]


if __name__ == "__main__":
    main()
