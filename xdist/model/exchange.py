"""What transformers calls the layers of a head: for models that leave xdist, and for those that were fine-tuned elsewhere."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling

from xdist.errors import UserError
from xdist.files import read_json
from xdist.model.backbone import load_config
from xdist.model.finetuned import Finetuned
from xdist.model.heads import FormedHead, in_saved_form, make_head
from xdist.model.kinds import kind_of
from xdist.tasks.family import Family

# The layers of a family's head and their names there, which differ with where the dense layer is: in the head, in the encoder's
# pooler, or is the pooler (ALBERT).
_POOLED = {"1": "{encoder}.pooler.dense", "4": "classifier"}, {"1": "{encoder}.pooler", "4": "classifier"}
LAYOUTS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "classification": ({"1": "classifier.dense", "4": "classifier.out_proj"}, *_POOLED),
    "multiple-choice": _POOLED,
    "tagging": ({"1": "classifier"},),
    "span-qa": ({"": "qa_outputs"},),
}


def names_in_transformers(
    kind: Any, config: PretrainedConfig, family: Family, held: Collection[str] | None = None
) -> dict[str, str]:
    """The name of each parameter of a family's head in `kind`, a class of transformers whose models have this configuration.
    `held`: what parameters of the head there are, where it is trained. Raises UserError where their head has other layers or
    sizes, or computes something else."""
    head, own = make_head(family, config, 0.0), family.task.head
    if held is not None:
        head = in_saved_form(head, family, config, held)
    with torch.device("meta"):  # no weights
        model = kind(config)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    form = kind_of(config).heads.get(family.task.family)
    layouts_known = LAYOUTS[family.task.family]
    if form and isinstance(head, FormedHead):
        layouts_known = ({"out": form.out, "dense": form.dense, "norm": form.norm},)
    elif form:  # in the place of the kind's own
        layouts_known = ({"4": form.out, "1": form.dense},)
    layouts = [_renamed(head, layers, model.base_model_prefix) for layers in layouts_known]
    names = next((names for names in layouts if _is_whole(names.values(), shapes, model.base_model_prefix)), None)
    if names is None:
        raise UserError(f"{kind.__name__} has other layers than head '{own}'")
    for name, value in head.named_parameters():
        if (shape := shapes[names[name]]) != value.shape:
            raise UserError(f"{names[name]} of {kind.__name__} is {shape}, head '{own}' needs {tuple(value.shape)}")
    if not _gives_same_outputs(model, head, names, family.task.family):
        raise UserError(f"{kind.__name__} computes something other than head '{own}' from the same weights")
    return names


def head_weights(finetuned: Finetuned, family: Family, labels: Sequence[str] | None = None) -> dict[str, Tensor]:
    """The weights of a family's head from a model that was fine-tuned elsewhere, its outputs in the order of the task's labels.
    `labels` are as `given` in `Finetuned.order`. Raises UserError where that is no head for this task, or cannot be read."""
    order = finetuned.order(family.task, labels)
    kind = getattr(transformers, finetuned.kind, None)
    if kind is None:
        raise UserError(f"{finetuned.folder}: transformers has no class {finetuned.kind}")
    config = load_config(str(finetuned.folder))
    try:
        names = names_in_transformers(kind, config, family)
    except UserError as error:
        raise UserError(f"{finetuned.folder}: {error}") from None
    weights = _read(finetuned.folder, names)
    for name, value in make_head(family, config, 0.0).named_parameters():
        if (shape := weights[name].shape) != value.shape:
            raise UserError(f"{finetuned.folder}: {names[name]} is {tuple(shape)}, its config.json says {tuple(value.shape)}")
    if order is not None:
        last = list(names)[-1].rpartition(".")[0]
        weights |= {name: value[order] for name, value in weights.items() if name.rpartition(".")[0] == last}
    return weights


def _renamed(head: nn.Module, layers: Mapping[str, str], encoder: str) -> dict[str, str]:
    parts = (name.rpartition(".") for name, _ in head.named_parameters())
    return {f"{layer}{dot}{part}": f"{layers[layer].format(encoder=encoder)}.{part}" for layer, dot, part in parts}


def _is_whole(names: Collection[str], existing: Collection[str], encoder: str) -> bool:
    """Whether these exist, and are all that exists besides the encoder."""
    return {name for name in existing if not name.startswith(f"{encoder}.")} <= set(names) <= set(existing)


class _States(nn.Module):
    """Replaces an encoder: gives these states, and what the encoder's pooler makes of them."""

    def __init__(self, encoder: Any, states: Tensor) -> None:
        super().__init__()
        self.states, self.pooler = states, getattr(encoder, "pooler", None)
        self.activation = getattr(encoder, "pooler_activation", None)  # ALBERT's pooler is the dense layer alone

    def forward(self, *_: object, **__: object) -> BaseModelOutputWithPooling:
        pooled = None
        if self.pooler is not None:
            pooled = self.activation(self.pooler(self.states[:, 0])) if self.activation else self.pooler(self.states)
        return BaseModelOutputWithPooling(last_hidden_state=self.states, pooler_output=pooled)


@torch.no_grad()
def _gives_same_outputs(model: Any, head: nn.Module, names: Mapping[str, str], family: str) -> bool:
    """Whether `model`, which has no weights, makes of hidden states what `head` makes of them. Its own forward is asked, with
    states in the encoder's place: classes differ in what is between the same two layers (tanh; gelu in ELECTRA and BigBird)."""
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(2, 3, model.config.hidden_size, generator=generator)
    setattr(model, model.base_model_prefix, _States(model.base_model, states))
    model.to_empty(device="cpu").eval()
    theirs = dict(model.named_parameters())
    for name, value in head.named_parameters():
        value.normal_(std=value.shape[-1] ** -0.5, generator=generator)
        theirs[names[name]].copy_(value)
    ids, mask = torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.long)
    if family == "multiple-choice":
        ids, mask = ids[None], mask[None]
    try:
        outputs = model(input_ids=ids, attention_mask=mask)
    except Exception:  # a class that needs more of its encoder than states has another head
        return False
    logits = torch.stack([outputs.start_logits, outputs.end_logits], -1) if family == "span-qa" else outputs.logits
    head.eval()
    if isinstance(head, FormedHead) and head.pooling != "first":
        expected = head.of_sequences(states, partial(torch.mean, dim=1))
    else:
        expected = head(states if family in ("tagging", "span-qa") else states[:, 0])
    return logits.numel() == expected.numel() and torch.allclose(logits.reshape(expected.shape), expected, atol=1e-5)


def _read(folder: Path, names: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a model folder under our names; `names` says theirs. Raises UserError."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    weights: dict[str, Tensor] = {}
    try:
        files = read_json(index)["weight_map"] if index.is_file() else dict.fromkeys(names.values(), single.name)
        for file in sorted({files[their_name] for their_name in names.values() if their_name in files}):
            with safe_open(folder / file, "pt") as shard:
                keys = set(shard.keys())
                weights |= {name: shard.get_tensor(their_name) for name, their_name in names.items() if their_name in keys}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise UserError(f"{folder}: the weights cannot be read: {str(error).strip().splitlines()[0]}") from None
    if missing := [their_name for name, their_name in names.items() if name not in weights]:
        raise UserError(f"{folder}: {len(missing)} weights of the head are missing, such as '{missing[0]}'")
    return weights
