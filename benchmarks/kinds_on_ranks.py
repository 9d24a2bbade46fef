"""Do encoders of every kind train, evaluate and leave as they should, at every ZeRO stage? On real rows of UD-POS.

    PYTHONPATH=.:tests python benchmarks/kinds_on_ranks.py --data DOWNLOAD_FOLDER [--kinds modernbert …] [--steps 60] [--out F]

For each kind a small random encoder, in one process group of two ranks for its four stages: training with one ascent step, the
scores on the test sets of a few languages, and the exported model, whose logits on a sentence are held against those of the
model folder. Without dropout all stages have to train equally: reported are the largest differences of a loss and of a trained
weight from ZeRO 0's. Tokenizers are made from the training file: WordPiece for BERT, for the others one as XLM-R's is. Last
line: one JSON object.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from click.testing import CliRunner
from distributed import group as groups
from safetensors.torch import load_file
from tiny_kinds import KINDS
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer

from xdist.cli import main as command
from xdist.demo.tiny import tiny_encoder
from xdist.files import read_json
from xdist.model.folder import HEADS
from xdist.model.heads import make_head
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

STAGES = ("zero0", "zero1", "zero2", "zero3")
SHAPE = {"num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="the download/ folder of the official scripts, with udpos/")
    parser.add_argument(
        "--kinds", nargs="+", choices=list(KINDS), default=["modernbert", "eurobert", "deberta-v2", "xlm", "bert"]
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--languages", nargs="+", default=["en", "de", "wo"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in options.kinds:
            found[kind] = _of_kind(kind, options, Path(name, kind))
            print(f"{kind:<12} {json.dumps(found[kind])}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))


def _of_kind(kind: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    backbone = small_encoder(folder / "encoder", kind, options.data / "udpos/train-en.tsv")
    groups.CASE_SECONDS = 1800  # of a complete run, on a machine that may be busy
    group, result = groups.Group(2), dict[str, Any]()
    losses: dict[str, list[float]] = {}
    weights: dict[str, dict[str, torch.Tensor]] = {}
    try:
        for stage in STAGES:
            began = time.monotonic()
            path = _described(folder / f"{stage}.yaml", folder / stage, backbone, options, stage)
            group.run("whole_run", path=str(path), overrides=[])
            losses[stage] = [entry["train/loss"] for entry in _lines(folder / stage / "metrics.jsonl") if "train/loss" in entry]
            apart = exported_apart(folder / stage)
            scores = read_json(folder / stage / "scores.json")["tasks"]["udpos"]["languages"]
            weights[stage] = load_file(folder / stage / "model/model.safetensors")
            result[stage] = {
                "loss": [round(losses[stage][0], 4), round(losses[stage][-1], 4)],
                "f1": {code: round(values["f1"], 2) for code, values in scores.items()},
                "loss_from_zero0": max(abs(a - b) for a, b in zip(losses[stage], losses["zero0"], strict=True)),
                "weights_from_zero0": max(
                    float((value - weights["zero0"][name]).abs().max()) for name, value in weights[stage].items()
                ),
                "exported_logits_apart": apart,
                "seconds": round(time.monotonic() - began, 1),
            }
    finally:
        group.close()
    return result


def small_encoder(folder: Path, kind: str, text: Path) -> str:
    """A random encoder of this kind with a tokenizer made from the words of a UD-POS file."""
    words = [line.partition("\t")[0] for line in text.read_text(encoding="utf-8").splitlines()]
    sentences = " ".join(word or "\n" for word in words).split("\n")
    tiny_encoder(folder, sentences, vocabulary=3000, kind="bert" if kind == "bert" else "xlm-roberta")
    (folder / "model.safetensors").unlink()
    _, config, own = KINDS[kind]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos", "cls", "sep", "mask")}
    torch.manual_seed(5)
    made = config(vocab_size=len(tokenizer), max_position_embeddings=512, **{**SHAPE, **own}, **ids)
    AutoModel.from_config(made).save_pretrained(folder)
    return str(folder)


def _described(path: Path, folder: Path, backbone: str, options: argparse.Namespace, stage: str) -> Path:
    run = {
        "name": path.stem,
        "folder": str(folder),
        "model": {"backbone": backbone, "dropout": 0.0},
        "data": {"root": str(options.data), "cache": str(path.parent / "prepared"), "max_length": 128},
        "train": {
            "tasks": [{"task": "udpos", "languages": ["en"], "limit": 2000}],
            "steps": options.steps,
            "batch_size": 16,
            "learning_rate": 2e-3,
        },
        "robust": {"method": "adversarial", "radius": 0.05},
        "evaluate": {"tasks": ["udpos"], "languages": options.languages},
        "runtime": {"deepspeed": stage, "precision": "fp32", "log_every": 1},
    }
    path.write_text(yaml.safe_dump(run))
    return path


def exported_apart(run: Path, text: Sequence[str] = ("The", "cat", "sat")) -> float:
    """How far the exported model's logits are from those of the run's encoder and head."""
    done = CliRunner().invoke(command, ["export", str(run), str(run / "exported")])
    assert done.exit_code == 0, done.output
    theirs = AutoModelForTokenClassification.from_pretrained(run / "exported").eval()
    inputs = AutoTokenizer.from_pretrained(run / "exported")(list(text), is_split_into_words=True, return_tensors="pt")
    inputs = {name: value for name, value in inputs.items() if name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = theirs(**inputs).logits[0]
        config = AutoConfig.from_pretrained(run / "model")
        states = AutoModel.from_pretrained(run / "model").eval()(**inputs).last_hidden_state[0]
        return float((logits - _head(run, config)(states)).abs().max())


def _head(run: Path, config: Any) -> torch.nn.Module:
    head = make_head(family_of(task("udpos")), config).eval()
    head.load_state_dict({name.removeprefix("udpos."): value for name, value in load_file(run / "model" / HEADS).items()})
    return head


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
