"""A run's model as a Hugging Face folder: encoder and head under the names that `AutoModelFor…` looks for, tokenizer, card."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoModel

from xdist.config import Run
from xdist.data.fetched import found_model
from xdist.data.pieces import trained_tasks
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.files import write_text, written_folder
from xdist.model.backbone import load_config
from xdist.model.folder import save_tokenizer
from xdist.runtime.model_card import card
from xdist.runtime.weights import Weights
from xdist.tasks.catalog import Task
from xdist.tasks.classification import FirstTokenHead


@dataclass(frozen=True, slots=True)
class Shape:
    """A family's class in transformers, and the names there of the layers of its head here."""

    auto: str
    layers: Mapping[str, str]
    pooled: Mapping[str, str]  # the same for encoders whose dense layer is the pooler's


FIRST_TOKEN = {"1": "classifier.dense", "4": "classifier.out_proj"}
POOLED = {"1": "{encoder}.pooler.dense", "4": "classifier"}
SHAPES = {
    "classification": Shape("AutoModelForSequenceClassification", FIRST_TOKEN, POOLED),
    "multiple-choice": Shape("AutoModelForMultipleChoice", POOLED, POOLED),
    "tagging": Shape("AutoModelForTokenClassification", {"1": "classifier"}, {"1": "classifier"}),
    "span-qa": Shape("AutoModelForQuestionAnswering", {"": "qa_outputs"}, {"": "qa_outputs"}),
}


def heads_of(run: Run) -> dict[str, Task]:
    """The task of each head that the run trains."""
    return {one.head: one for one in trained_tasks(run)}


def export(run: Run, weights: Weights, head: str | None, out: Path, source: str) -> str:
    """Write `weights` as the folder `out`; without `head` only the encoder. Returns its class. Raises UserError."""
    if out.exists():
        raise UserError(f"{out}: is there already; choose another folder")
    backbone = found_model(run).backbone
    config, tokenizer = load_config(backbone), load_tokenizer(backbone)
    shape = SHAPES.get(heads_of(run)[head].family) if head else None
    if head and not shape:
        raise UserError(f"head '{head}': transformers has no class for it; export the encoder alone (--head none)")
    if head and shape:
        labels = list(heads_of(run)[head].labels)
        if labels:
            config.id2label = dict(enumerate(labels))
            config.label2id = {label: number for number, label in enumerate(labels)}
    auto = getattr(transformers, shape.auto) if shape else AutoModel
    with torch.device("meta"):  # no second set of weights
        model = auto.from_config(config, **({} if shape else {"add_pooling_layer": False}))
    state = _renamed(model, weights, head, shape)
    wanted = model.state_dict()
    lacking = sorted(wanted.keys() - state.keys())
    if lacking:
        raise UserError(f"{type(model).__name__} has a weight '{lacking[0]}' that the run did not train; try --head none")
    if head and shape and shape.layers is FIRST_TOKEN and not _same_head(model, weights, head):
        raise UserError(
            f"{type(model).__name__} computes something else than head '{head}' from the same weights; "
            "export the encoder alone (--head none)"
        )
    state = {name: value.to(torch.float32).contiguous() for name, value in state.items() if name in wanted}
    with written_folder(out) as folder:
        model.save_pretrained(folder, state_dict=state)
        save_tokenizer(folder, tokenizer, config)
        write_text(folder / "README.md", card(run, type(model).__name__, head, source))
    return type(model).__name__


def _renamed(model: Any, weights: Weights, head: str | None, shape: Shape | None) -> dict[str, Tensor]:
    base = f"{model.base_model_prefix}." if shape else ""
    state = {base + name.removeprefix("encoder."): value for name, value in weights.items() if name.startswith("encoder.")}
    if shape:
        layers = shape.layers if "classifier.dense.weight" in model.state_dict() else shape.pooled
        for layer, name in layers.items():
            for part in ("weight", "bias"):
                own = ".".join(filter(None, ("heads", head, layer, part)))
                state[f"{name.format(encoder=model.base_model_prefix)}.{part}"] = weights[own]
    return state


def _same_head(model: Any, weights: Weights, head: str) -> bool:
    """Whether the classification head of `model` (without weights) is the function that was trained: some kinds have another
    one than tanh between the same two layers (ELECTRA, BigBird). True where it is not built of these layers."""
    theirs = model.classifier
    if not hasattr(theirs, "dense"):
        return True
    ours = FirstTokenHead(theirs.dense.in_features, theirs.out_proj.out_features, 0.0).eval()
    ours.load_state_dict({name: weights[f"heads.{head}.{name}"] for name in ours.state_dict()})
    theirs = copy.deepcopy(theirs).to_empty(device="cpu").eval()
    for layer, name in FIRST_TOKEN.items():
        theirs.get_submodule(name.removeprefix("classifier.")).load_state_dict(ours.get_submodule(layer).state_dict())
    states = torch.linspace(-3, 3, theirs.dense.in_features)[None]
    with torch.no_grad():
        return torch.allclose(theirs(states[None]), ours(states), atol=1e-5)
