"""What the CPU computes, with all that it computes it from: three small encoders in fp64, and courses of training in fp32."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from device.child import Check
from device.setup import Setup, described
from xdist.model.model import Model
from xdist.tasks.batch import Batch, Shift
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

WIDTHS = (64, 80, 128)  # of a head: of XLM-R base and large, of XL, of the widest relative
LENGTHS = (1, 7, 130, 64, 200, 33)
PIECES = 400
STEPS, FEW = 30, 4


def checks(setup: Setup) -> list[tuple[str, Check]]:
    return [("made", lambda: make(setup))]


def make(setup: Setup) -> Mapping[str, Any]:
    """Writes the goldens where they are not yet. A thing of the CPU: the process must not see a GPU."""
    from distributed import cases
    from distributed.plain_robust import REWRITING, word_lists
    from tiny import tiny_benchmark, tiny_model

    folder = setup.goldens
    if (folder / "goldens.json").exists():
        return {"ok": None, "reason": "made elsewhere"}
    tiny_benchmark(folder / "benchmark")
    tiny_model(folder / "encoder", folder / "benchmark")
    word_lists(folder / "words")
    for width in WIDTHS:
        save_file(_encoder_golden(width), folder / f"heads-{width}.safetensors")
    setup.join()
    path = described(folder, setup.fresh("goldens"))
    courses = {"plain": cases.losses(str(path), [], FEW if setup.tiny else STEPS)}
    for name, method in () if setup.tiny else REWRITING.items():
        courses[name] = cases.losses(str(path), [f"robust={method.replace('%s', str(folder / 'words'))}"], FEW)
    kept = {name: {key: course[key] for key in ("loss", "norm")} for name, course in courses.items()}
    (folder / "goldens.json").write_text(json.dumps({"torch": torch.__version__, "courses": kept}))
    return {"files_mb": round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 1)}


def encoder_of(width: int) -> Any:
    """A random encoder of two layers with two heads of `width`, without dropout."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(width)
    config = XLMRobertaConfig(
        vocab_size=PIECES,
        hidden_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=4 * width,
        max_position_embeddings=max(LENGTHS) + 2,
        type_vocab_size=1,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return XLMRobertaModel(config, add_pooling_layer=False)


def batch_of_lengths(tokens: Tensor) -> Batch:
    count = len(LENGTHS)
    return Batch("xnli", tokens.long(), torch.tensor(LENGTHS), torch.arange(count), torch.arange(count))


def states_and_slope(model: Model, batch: Batch, delta: Tensor, probe: Tensor) -> tuple[Tensor, Tensor]:
    """(T, d) hidden states under the shift `delta` (T, d), and the gradient by it of their sum weighted by `probe` (T, d)."""
    delta = delta.detach().requires_grad_()
    states = model.hidden(batch, shifts=(Shift("input", delta),))
    (slope,) = torch.autograd.grad((states * probe.to(states.dtype)).float().sum(), delta)
    return states.detach(), slope


def model_of(encoder: Any) -> Model:
    return Model(encoder, {"xnli": family_of(task("xnli"))}, 1)


def _encoder_golden(width: int) -> dict[str, Tensor]:
    encoder, total = encoder_of(width), sum(LENGTHS)
    weights = {f"weights.{name}": value.clone() for name, value in encoder.state_dict().items()}
    tokens = torch.randint(4, PIECES, (total,))
    delta, probe = 0.1 * torch.randn(total, 2 * width), torch.randn(total, 2 * width)
    batch = batch_of_lengths(tokens)
    states, slope = states_and_slope(model_of(encoder.double()), batch, delta.double(), probe.double())
    found = {"tokens": tokens, "delta": delta, "probe": probe, "states": states.float(), "slope": slope.float()}
    return {**weights, **found}


def weights_and_golden(folder: Path, width: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    from safetensors.torch import load_file

    every = load_file(folder / f"heads-{width}.safetensors")
    weights = {name.removeprefix("weights."): value for name, value in every.items() if name.startswith("weights.")}
    return weights, {name: value for name, value in every.items() if not name.startswith("weights.")}
